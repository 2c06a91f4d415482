#!/bin/busybox sh
# First process of the guest: modules, the host's root under a layer of memory, then the command in it.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for m in $($b cat /order); do $b insmod /mod/"$m" || echo "guest: module $m does not load"; done
$b mkdir -p /dev/pts /dev/shm
$b mount -t devpts pts /dev/pts
$b mount -t tmpfs shm /dev/shm
$b mount -t configfs config /sys/kernel/config
$b mount -t tracefs tracing /sys/kernel/tracing
$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro root /lower || echo "guest: no root"
$b mount -t tmpfs upper /upper
$b mkdir /upper/files /upper/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /root
for x in proc sys dev; do $b mount --rbind /$x /root/$x; done
for w in $($b cat /proc/cmdline); do
    case $w in
    guest.command=*) command=${w#guest.command=} ;;
    guest.results=*) results=${w#guest.results=} ;;
    esac
done
$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 results /root"$results" || echo "guest: no results"
$b ip link set lo up
$b chroot /root /bin/sh "$command"
echo "guest: ended with $? after $($b cut -d' ' -f1 /proc/uptime) s of its own time"
$b poweroff -f
