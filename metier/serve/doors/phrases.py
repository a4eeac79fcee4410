"""What the door, the page of those who may come in, and the frame of every page say, in English and Chinese."""

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
    # who may come in
    "people": ("People", "用户"),
    "viewer": ("viewer", "查看者"),
    "analyst": ("analyst", "分析员"),
    "admin": ("admin", "管理员"),
    "add_person": ("Let somebody in", "添加用户"),
    "role": ("Role", "角色"),
    "initial_password": ("First password", "初始密码"),
    "sso_hint": ("Empty: single sign-on alone.", "留空：仅限单点登录。"),
    "active": ("may come in", "可登录"),
    "inactive": ("may not come in", "不可登录"),
    "let_out": ("Shut out {name}", "停用 {name}"),
    "let_in": ("Let in {name}", "启用 {name}"),
    "role_of": ("Role of {name}", "{name} 的角色"),
    "keys": ("Keys of programs", "程序密钥"),
    "add_key": ("New key", "新建密钥"),
    "key_name": ("Name of the program", "程序名称"),
    "key_once": ("The key is shown once: {key}", "密钥仅显示一次：{key}"),
    "revoke": ("Revoke {name}", "吊销 {name}"),
    "audit": ("Who did what", "操作日志"),
    # around every page of a console
    "skip": ("Skip to the content", "跳到正文"),
    "menu": ("Pages", "页面"),
    "language": ("切换到中文", "Switch to English"),
    "theme_auto": ("Colours follow the system", "配色跟随系统"),
    "theme_light": ("Light colours", "浅色"),
    "theme_dark": ("Dark colours", "深色"),
    "times_in": ("Times in {zone}", "时间以 {zone} 显示"),
    "not_allowed": ("Your role may not do this.", "您的角色无此权限。"),
    "not_there": ("There is no such thing here.", "未找到相应内容。"),
    "failed": ("Something went wrong on our side.", "服务端出现错误。"),
    "done": ("Done.", "已完成。"),
}


def say(name: str, language: str, /, **values: object) -> str:
    """A phrase of the door, with its values filled in."""
    return DOOR[name][LANGUAGES.index(language)].format(**values)


def language_of(asked: HTTPConnection) -> str:
    """The language in which somebody is spoken to: chosen, or the browser's."""
    chosen = asked.query_params.get("lang") or asked.cookies.get("metier-language", "")
    return chosen if chosen in LANGUAGES else preferred(asked.headers.get("accept-language", ""))
