#!/bin/sh
# container.sh STAGE PYTHON RESULT: in mount namespace of its own, this machine's root under a layer of memory, the staged
# installation in it, and systemd as first process of a container on that. Nothing of it stays.
set -e
mount --make-rprivate /
layer=$(mktemp -d)
mount -t tmpfs layer "$layer"
mkdir "$layer/files" "$layer/work" "$layer/root"
mount -t overlay -o "lowerdir=/,upperdir=$layer/files,workdir=$layer/work" overlay "$layer/root"
rm -rf "$layer"/root/etc/systemd/system/*.wants
cp -a "$1"/. "$layer/root/"
mkdir -p "$layer/root/opt/python"
for unit in getty.target console-getty.service systemd-sysctl.service; do
    ln -sf /dev/null "$layer/root/etc/systemd/system/$unit"
done
exec systemd-nspawn --quiet --register=no --keep-unit --private-network --console=pipe --boot \
    --bind-ro="$2:/opt/python" --bind="$3:/results" --directory="$layer/root"
