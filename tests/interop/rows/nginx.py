import behind
from packages import apt
from row import row

# The file is one of conf.d; this is the least that nginx wants around it.
AROUND = """
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


@row("nginx auth_request", apt("nginx"))
def nginx(it):
    it.folder.chmod(0o777)

    def start(values):
        port = values["127.0.0.1:8080"].rpartition(":")[2]
        file = behind.configuration(it, "nginx.conf", values).rename(it.folder / f"packages-{port}.conf")
        main = it.folder / f"nginx-{port}.conf"
        main.write_text(AROUND.format(folder=it.folder, port=port, file=file))
        it.start([it.kit[0].program("nginx"), "-e", "stderr", "-p", it.folder, "-c", main], port=int(port))

    behind.gateway(it, start)
