"""What continuous integration wants of a run: shares of its tests, properties in JUnit, annotations, artifacts.

It reads reports of tests, and decides no verdict. Nothing of it but `hooks` is imported where it is not asked for.
"""
