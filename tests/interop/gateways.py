"""Gateways with their files of deploy/gateways: each function gives a `start(values)`, which starts one with these values."""

import time

import behind


def _port(values):
    return int(values["127.0.0.1:8080"].rpartition(":")[2])


# The file is one of conf.d; this is the least that nginx wants around it.
_AROUND_NGINX = """
daemon off;
pid {folder}/nginx-{port}.pid;
error_log stderr info;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {file};
}}
"""


def nginx(it, kit):
    it.folder.chmod(0o777)

    def start(values):
        port = _port(values)
        file = behind.configuration(it, "nginx.conf", values).rename(it.folder / f"packages-{port}.conf")
        main = it.folder / f"nginx-{port}.conf"
        main.write_text(_AROUND_NGINX.format(folder=it.folder, port=port, file=file))
        it.start([kit.program("nginx"), "-e", "stderr", "-p", it.folder, "-c", main], port=port)

    return start


def caddy(it, kit):
    def start(values):
        port = _port(values)
        file = behind.configuration(it, "Caddyfile", values).rename(it.folder / f"Caddyfile-{port}")
        # Nothing of it is kept in the home folder.
        env = {"XDG_CONFIG_HOME": str(it.folder), "XDG_DATA_HOME": str(it.folder)}
        it.start([kit.program("caddy"), "run", "--adapter", "caddyfile", "--config", file], port=port, env=env)

    return start


def traefik(it, kit):
    def start(values):
        port, listen = _port(values), "127.0.0.1:8080"
        dynamic = {key: value for key, value in values.items() if key != listen}
        dynamic = behind.configuration(it, "traefik-dynamic.yaml", dynamic).rename(it.folder / f"dynamic-{port}.yaml")
        static = behind.configuration(it, "traefik.yaml", {listen: values[listen], "traefik-dynamic.yaml": dynamic})
        static = static.rename(it.folder / f"static-{port}.yaml")
        it.start([kit.program("traefik"), f"--configFile={static}"], port=port)
        # It listens before it has read the dynamic part, and knows no route until then.
        deadline = time.monotonic() + 20
        while behind.send(port, "GET", "/").status == 404 and time.monotonic() < deadline:
            time.sleep(0.05)

    return start


def envoy(it, kit):
    def start(values):
        port = _port(values)
        file = behind.configuration(it, "envoy.yaml", behind.apart(values)).rename(it.folder / f"envoy-{port}.yaml")
        # Without shared memory with another Envoy on this machine.
        it.start([kit.program("envoy"), "--config-path", file, "--use-dynamic-base-id", "--concurrency", "1"], port=port)

    return start


def haproxy(it, kit):
    def start(values):
        port = _port(values)
        behind.configuration(it, "jobpass.lua", {})
        file = behind.configuration(it, "haproxy.cfg", values).rename(it.folder / f"haproxy-{port}.cfg")
        it.start([kit.program("haproxy"), "-db", "-C", it.folder, "-f", file], port=port)

    return start
