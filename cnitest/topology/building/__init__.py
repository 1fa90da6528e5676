"""From a topology to the ordered steps that build it: pure, printable. Applies none of them."""
