"""What the door says, in English and Chinese."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from metier.serve.words import LANGUAGES, preferred

DOOR: dict[str, tuple[str, str]] = {
    "log_in": ("Log in", "登录"),
    "log_out": ("Log out", "退出登录"),
    "set_up": ("First person", "创建首位用户"),
    "set_up_lead": ("This person may do everything, and let others in.", "该用户拥有全部权限，并可添加其他用户。"),
    "name": ("Name", "用户名"),
    "password": ("Password", "密码"),
    "password_again": ("Password again", "再次输入密码"),
    "wrong_password": ("Name and password do not belong together.", "用户名或密码错误。"),
    "too_many": ("Too many log-ins failed. Try again in some minutes.", "登录失败次数过多，请稍后再试。"),
    "not_the_same": ("The two passwords are not the same.", "两次输入的密码不一致。"),
    "nobody_yet": (
        "Nobody may come in yet: open the link that the start of the service printed.",
        "尚无用户：请打开服务启动时显示的链接。",
    ),
}


def say(name: str, language: str, /, **values: object) -> str:
    """A phrase of the door, with its values filled in."""
    return DOOR[name][LANGUAGES.index(language)].format(**values)


def language_of(asked: HTTPConnection) -> str:
    """The language in which somebody is spoken to: chosen, or the browser's."""
    chosen = asked.query_params.get("lang") or asked.cookies.get("metier-language", "")
    return chosen if chosen in LANGUAGES else preferred(asked.headers.get("accept-language", ""))
