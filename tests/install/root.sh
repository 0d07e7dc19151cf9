#!/bin/sh
# Runs a script on a copy of a bare Debian: root.sh ROOT SCRATCH TREE CLUSTER SCRIPT.
# ROOT is made by tests/cluster/roots.sh and stays as it is; what changes goes to SCRATCH. The checkout is in /root/saf,
# the cluster's directory is where it is here, and its slurm.conf is /etc/slurm/slurm.conf. How apt and pip reach
# their packages is lent by this machine. To be started in a mount namespace of its own: it leaves its mounts to it.
set -eu
root=$1 scratch=$2 tree=$3 cluster=$4 script=$5
host=$scratch/host

mkdir -p "$scratch/upper" "$scratch/work" "$host"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$scratch/upper,workdir=$scratch/work" "$host"
mount -t proc proc "$host/proc"
mount --rbind /dev "$host/dev"
mkdir -p "$host$cluster" "$host/root/saf" "$host/etc/slurm" "$host/root/.config"
mount --rbind "$cluster" "$host$cluster"
ln -sf "$cluster/slurm.conf" "$host/etc/slurm/slurm.conf"
git -C "$tree" ls-files -z -co --exclude-standard | tar -C "$tree" --null -cf - -T - | tar -C "$host/root/saf" -xf -

cp /etc/resolv.conf /etc/hosts "$host/etc/"
apt-config dump Acquire >"$host/etc/apt/apt.conf.d/99lent"
cp /etc/ssl/certs/ca-certificates.crt "$host/etc/ssl/certs/"
[ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$host/etc/"
[ ! -d "$HOME/.config/pip" ] || cp -r "$HOME/.config/pip" "$host/root/.config/"

cp "$(dirname "$0")/systemctl.sh" "$host/usr/local/sbin/systemctl"
chmod 755 "$host/usr/local/sbin/systemctl"
cp "$script" "$host/root/typed.sh"
exec chroot "$host" sh -ec 'cd /root/saf; . /root/typed.sh'
