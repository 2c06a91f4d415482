#!/bin/busybox sh
# First process of the guest: modules, the host's root under a layer of memory, the staged installation in it,
# and then systemd, which boots as on any machine.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
for m in $($b cat /order); do $b insmod /mod/"$m" || echo "guest: module $m does not load"; done
$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro root /lower || echo "guest: no root"
$b mount -t tmpfs upper /upper
$b mkdir /upper/files /upper/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /root
for w in $($b cat /proc/cmdline); do
    case $w in
    guest.results=*) stage=${w#guest.results=}/stage ;;
    guest.python=*) python=${w#guest.python=} ;;
    esac
done
# What the host's own services would do here is not what is tried; and where the host is a container, the guest is none:
# systemd would take itself for one, and read no command line.
$b rm -rf /root/etc/systemd/system/*.wants /root/.dockerenv
$b cp -a /lower"$stage"/. /root/ || echo "guest: no stage"
$b mkdir -p /root/opt/python /root/run
$b mount --bind /root"$python" /root/opt/python
# To empty the host's folders of this and that would take minutes.
for x in tmp var/tmp; do $b mount -t tmpfs -o mode=1777 tmp /root/$x; done
for x in proc sys dev; do $b mount --move /$x /root/$x; done
$b chroot /root /bin/sh /read-first.sh
exec $b switch_root /root /lib/systemd/systemd
