"""An SMTP server for tests: aiosmtpd, with addresses that stand for trouble.

It prints the port that it listens on, and writes each mail that it took to FOLDER/<n>.json, read by Python's own parser.

    server.py FOLDER [--starttls | --tls] [--user NAME:PASSWORD]
"""

import asyncio
import email
import email.policy
import json
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

HERE = pathlib.Path(__file__).parent


class Handler:
    def __init__(self, folder):
        self.folder, self.count, self.once = folder, 0, set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        name = address.split("@")[0]
        if name == "unknown":
            return "550 5.1.1 no such mailbox"
        if name == "full":
            return "452 4.2.2 mailbox full"
        if name == "once" and name not in self.once:
            self.once.add(name)
            return "450 4.7.1 greylisted, come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        name = envelope.rcpt_tos[0].split("@")[0]
        if name == "spam":
            return "554 5.7.1 looks like spam"
        if name == "closing":
            return "421 4.3.0 closing for today"
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        part = lambda kind: next(p.get_content() for p in mail.walk() if p.get_content_type() == kind)
        taken = {
            "sender": envelope.mail_from,
            "recipients": envelope.rcpt_tos,
            "is_secret": server.transport.get_extra_info("ssl_object") is not None,
            "is_signed_in": session.authenticated,
            "headers": {name.lower(): str(value) for name, value in mail.items()},
            "text": part("text/plain"),
            "html": part("text/html"),
        }
        self.count += 1
        (self.folder / f"{self.count}.json.new").write_text(json.dumps(taken))
        (self.folder / f"{self.count}.json.new").rename(self.folder / f"{self.count}.json")
        if name == "slow" and name not in self.once:
            # It is taken, and whoever sent it does not learn of that.
            self.once.add(name)
            await asyncio.sleep(60)
        return "250 taken"


async def main():
    folder, options = pathlib.Path(sys.argv[1]), sys.argv[2:]
    context = None
    if "--tls" in options or "--starttls" in options:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(HERE / "server.pem")
    kind = {"enable_SMTPUTF8": True}
    if "--starttls" in options:
        kind.update(tls_context=context, require_starttls=True)
    if "--user" in options:
        name, password = options[options.index("--user") + 1].split(":")

        def check(server, session, envelope, mechanism, data):
            return AuthResult(success=(data.login, data.password) == (name.encode(), password.encode()))

        kind.update(authenticator=check, auth_required=True, auth_require_tls=False)
    handler = Handler(folder)
    secure = context if "--tls" in options else None
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(handler, **kind), "127.0.0.1", 0, ssl=secure)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
