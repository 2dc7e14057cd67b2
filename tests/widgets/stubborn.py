"""A child that does what its request says: run by ``test_child`` as a panel's work would be."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

from rx580lab.widgets.channel import Channel


def main() -> None:
    channel = Channel(sys.argv[1:])
    asked_to_end = threading.Event()
    for act in channel.request["acts"]:
        if act == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        elif act == "spawn":
            # In a session of its own, as a Jupyter kernel is: killing the group does not reach it.
            grandchild = subprocess.Popen(["sleep", "600"], start_new_session=True)
            channel.send("spawned", pid=grandchild.pid)
        elif act == "shout":
            sys.stderr.write("the last words\n")
        elif act == "exit":
            sys.exit(3)
        elif act == "tidy":
            signal.signal(signal.SIGTERM, lambda *_: asked_to_end.set())
        elif isinstance(act, int | float):
            if asked_to_end.wait(act):
                return
        else:
            channel.send(act)


if __name__ == "__main__":
    main()
