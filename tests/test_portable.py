"""The package imports on any system: nothing that only POSIX has is asked for on the way."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "pm_utils").rglob("*.py"))
POSIX_MODULES = {
    *("fcntl", "grp", "pwd", "resource", "termios", "tty", "pty", "syslog", "posix", "readline"),
    *("crypt", "spwd", "nis", "ossaudiodev", "pipes", "curses", "_posixsubprocess", "_posixshmem"),
}
POSIX_NAMES = {
    "os": {
        *(
            "fork",
            "forkpty",
            "register_at_fork",
            "setsid",
            "getsid",
            "setpgid",
            "getpgid",
            "killpg",
        ),
        *("getuid", "geteuid", "getgid", "getpgrp", "chown", "fchmod", "fchown", "mkfifo", "nice"),
        *("pipe2", "uname", "getloadavg", "sched_getaffinity", "sched_setaffinity", "posix_spawn"),
        *("wait", "waitid", "wait3", "wait4", "WNOHANG", "WIFEXITED", "O_NONBLOCK", "O_NOFOLLOW"),
    },
    "signal": {
        *("SIGKILL", "SIGHUP", "SIGQUIT", "SIGALRM", "SIGCHLD", "SIGSTOP", "SIGCONT", "SIGUSR1"),
        *("SIGUSR2", "SIGPIPE", "SIGTSTP", "SIGWINCH", "alarm", "setitimer", "pause", "sigwait"),
        *("pthread_kill", "pthread_sigmask", "siginterrupt"),
    },
}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def imported(tree: ast.Module) -> set[str]:
    """Every module that is imported anywhere, and `module.name` for each name taken from one."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def run_on_import(node: ast.AST) -> list[ast.AST]:
    """A node and those below it that an import runs: all but the bodies of functions."""
    children = list(ast.iter_child_nodes(node))
    if isinstance(node, FUNCTIONS):
        body = node.body if isinstance(node.body, list) else [node.body]
        children = [child for child in children if child not in body]
    return [node, *(below for child in children for below in run_on_import(child))]


def faults(source: str) -> set[str]:
    """What other systems lack: modules imported anywhere, and names that an import asks for."""
    tree = ast.parse(source)
    asked = imported(tree)
    used = {ast.unparse(node) for node in run_on_import(tree) if isinstance(node, ast.Attribute)}
    names = {f"{module}.{name}" for module, names in POSIX_NAMES.items() for name in names}
    return {name for name in asked if name.split(".")[0] in POSIX_MODULES} | names & (asked | used)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_asks_for_nothing_that_only_posix_has(path):
    assert not faults(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import fcntl", {"fcntl"}),
        ("def f():\n    import resource as r", {"resource"}),
        ("from pwd import getpwnam", {"pwd", "pwd.getpwnam"}),
        ("def f():\n    from os import fork", {"os.fork"}),
        ("import os\nos.setsid()", {"os.setsid"}),
        ("import signal\nclass A:\n    last = signal.SIGKILL", {"signal.SIGKILL"}),
        ("import signal\ndef f(how=signal.SIGHUP): ...", {"signal.SIGHUP"}),
        ("import signal\n@once(signal.alarm)\ndef f(): ...", {"signal.alarm"}),
        ("import os\nif hasattr(os, 'fork'):\n    f = lambda: os.fork()", set()),
        ("import signal\ndef f():\n    return signal.SIGKILL", set()),
        ("from . import resource\nresource.look()", set()),
        ("import os, signal\nos.getpid(), signal.SIGTERM, signal.SIGINT", set()),
    ],
)
def test_what_only_posix_has_is_found(source, found):
    assert faults(source) == found
