# The second program of a guest, in this machine's files: it runs the command, and reports how that ended.
. /run/cnitest-guest/settings.sh
for port in /sys/class/virtio-ports/*; do
  read -r name <"$port/name"
  eval "${name}_port=/dev/${port##*/}"
done
[ ! -e /proc/sys/kernel/modprobe ] || echo /sbin/modprobe >/proc/sys/kernel/modprobe
ulimit -Hn 1048576
ulimit -Sn "$FILES"

# A port can be opened once; the command and what it leaves running must not have this one.
exec 3<>"$ctl_port"

follow_size() {
  while read -r rows columns; do
    stty -F /dev/hvc0 rows "$rows" columns "$columns"
  done <&3
}

pass_on_interrupts() {
  while read -r word; do
    [ "$word" != interrupt ] || kill -s INT -- "-$(cat /run/cnitest-guest/command.pid)"
  done <&3
}

echo started >&3
if [ -n "$TERMINAL" ]; then
  stty -F /dev/hvc0 sane
  follow_size &
  setsid -c -w /bin/sh /run/cnitest-guest/command.sh <>/dev/hvc0 >&0 2>&0 3>&-
else
  pass_on_interrupts &
  # shellcheck disable=SC2016  # the pid of that shell
  setsid -w /bin/sh -c 'echo $$ >/run/cnitest-guest/command.pid; exec /bin/sh /run/cnitest-guest/command.sh' <"${in_port:-/dev/null}" >"$out_port" 2>"$err_port" 3>&-
fi
status=$?
# shellcheck disable=SC2046  # two words: free blocks, and the size of one
set -- $(stat -f -c '%a %S' /)
[ "$(($1 * $2))" -ge 65536 ] || echo full >&3
sync
echo "status $status" >&3
exec /run/cnitest-guest/busybox poweroff -f
