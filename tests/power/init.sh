#!/bin/sh
# The first and only program of the virtual machine: mounts the disk that will lose its power, and
# becomes the worker. Its words arrive from the kernel's command line as environment variables.
mount -t proc proc /proc
mount -t tmpfs tmpfs /mnt
mount -t "$power_fs" /dev/ubda /mnt || exec sleep 1000
exec "$power_worker" write /mnt/store 1000000 "$power_first"
