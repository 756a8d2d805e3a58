# Sourced by Tools/package: the container image. Debian's essential packages, the package, and what it depends on.

# Of the user in the image: Kubernetes wants a number.
IMAGE_USER=10001

# make_image: from $PACKAGE, $VERSION and $ARCHITECTURE; sets ARCHIVE to the file.
make_image() {
    local layout=$WORK/layout bundle=$WORK/bundle created packages
    created=$(date -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
    packages=$(dpkg-deb --field "$PACKAGE" Depends | sed 's/([^)]*)//g; s/ //g')
    umoci init --layout "$layout"
    umoci new --image "$layout:$VERSION"
    umoci unpack --image "$layout:$VERSION" "$bundle"
    # Without what nobody reads in a container; the packages' licences stay.
    mmdebstrap --quiet --mode=root --variant=essential --include="$packages" \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --customize-hook="chroot \"\$1\" groupadd --system --gid $IMAGE_USER tollgate" \
        --customize-hook="chroot \"\$1\" useradd --system -K SYS_UID_MAX=$IMAGE_USER --uid $IMAGE_USER --gid tollgate \
            --home-dir /var/lib/tollgate --no-create-home --shell /usr/sbin/nologin tollgate" \
        --customize-hook="copy-in '$PACKAGE' /tmp" \
        --customize-hook="chroot \"\$1\" dpkg --install '/tmp/${PACKAGE##*/}'" \
        --customize-hook="rm '$bundle/rootfs/tmp/${PACKAGE##*/}'" \
        --customize-hook="upload '$ROOT/deploy/container/tollgate.yaml' /etc/tollgate/tollgate.yaml" \
        bookworm "$bundle/rootfs" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} ||
        fail "mmdebstrap failed: see its messages above"
    # What was written just now bears the instant of everything else.
    find "$bundle/rootfs" -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +
    umoci repack --image "$layout:$VERSION" --history.created "$created" --history.created_by Tools/package "$bundle"
    umoci config --image "$layout:$VERSION" --no-history --created "$created" \
        --os linux --architecture "$ARCHITECTURE" \
        --config.user "$IMAGE_USER:$IMAGE_USER" --config.workingdir /var/lib/tollgate \
        --config.entrypoint /usr/bin/tollgate \
        --config.cmd serve --config.cmd --config --config.cmd /etc/tollgate/tollgate.yaml \
        --config.env PATH=/usr/local/bin:/usr/bin:/bin --config.env LANG=C.UTF-8 \
        --config.exposedports 50051/tcp --config.exposedports 8080/tcp --config.volume /var/lib/tollgate \
        --config.stopsignal SIGTERM \
        --config.label org.opencontainers.image.title=Tollgate \
        --config.label "org.opencontainers.image.version=$VERSION" \
        --config.label org.opencontainers.image.licenses=Apache-2.0 \
        --config.label "org.opencontainers.image.description=gRPC on 0.0.0.0:50051, REST and page on 0.0.0.0:8080: \
needs TLS, or TOLLGATE_INSECURE_ALLOW_PLAINTEXT=true"
    umoci gc --layout "$layout"
    ARCHIVE=$OUTPUT/tollgate_${VERSION}_$ARCHITECTURE.oci.tar
    tar --create --file "$ARCHIVE" --directory "$layout" --sort=name --mtime="@$SOURCE_DATE_EPOCH" \
        --owner=0 --group=0 --numeric-owner --mode=go=rX .
}
