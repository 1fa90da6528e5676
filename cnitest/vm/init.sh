#!/bin/sh
# The first program of a guest, run by busybox from memory. It puts a writable layer over this machine's files, then
# makes them its root. settings.sh says what is shared, and where modules are.
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
. /settings.sh

fail() {
  echo "cnitest-guest: $*"
  poweroff -f
}

share() { # TAG PATH OPTIONS
  mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,access=any,$3" "$1" "$2" || fail "cannot share $2"
}

for module in /modules/*.ko; do
  [ ! -e "$module" ] || insmod "$module" 2>/dev/null || echo "warning: $module cannot be loaded"
done

share root /lower cache=loose,ro
mount -t tmpfs -o mode=755 tmpfs /over
mkdir /over/upper /over/work
mount -t overlay -o lowerdir=/lower,upperdir=/over/upper,workdir=/over/work overlay /root || fail "no overlay"

mount -t proc proc /root/proc
mount -t sysfs sysfs /root/sys
mount -t devtmpfs devtmpfs /root/dev
mkdir -p /root/dev/pts /root/dev/shm /root/dev/net
mount -t devpts -o mode=620,ptmxmode=666 devpts /root/dev/pts
mount -t tmpfs -o mode=1777 tmpfs /root/dev/shm
ln -sf /proc/self/fd /root/dev/fd
ln -sf /proc/self/fd/0 /root/dev/stdin
ln -sf /proc/self/fd/1 /root/dev/stdout
ln -sf /proc/self/fd/2 /root/dev/stderr
[ -e /root/dev/net/tun ] || mknod /root/dev/net/tun c 10 200
mount -t tmpfs -o mode=755 tmpfs /root/run
mkdir -p /root/run/lock /root/run/cnitest-guest
mount -t cgroup2 cgroup2 /root/sys/fs/cgroup
mount -t bpf bpf /root/sys/fs/bpf 2>/dev/null
mount -t tracefs tracefs /root/sys/kernel/tracing 2>/dev/null

mount -o bind /root /plain
while read -r tag path; do
  mkdir -p "/root$path"
  share "$tag" "/root$path" cache=mmap
done </shares
while read -r path; do
  mount -o bind "/plain$path" "/root$path"
done </private
if [ -n "$MODULES" ]; then
  mkdir -p /root/lib/modules
  # A link, which hosts of a lab see, too: a mount would be hidden by their own /usr.
  [ -e "/root/lib/modules/$VERSION" ] || ln -s "$MODULES" "/root/lib/modules/$VERSION"
fi
cp /bin/busybox /command.sh /guest.sh /settings.sh /root/run/cnitest-guest/
hostname "$HOST"
ip link set lo up
exec switch_root /root /bin/sh /run/cnitest-guest/guest.sh
