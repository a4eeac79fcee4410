"""What the page says, in English and Chinese."""

from __future__ import annotations

LANGUAGES = ("en", "zh")

WORDS: dict[str, tuple[str, str]] = {
    "title": ("Try the model", "试用模型"),
    "lead": (
        "Type a text and see what the model makes of it, and how sure it is.",
        "输入一段文本，查看模型在各项任务上的判断及其把握程度。",
    ),
    "text": ("Text", "文本"),
    "pair": ("Second text", "第二段文本"),
    "add_pair": ("Add a second text", "添加第二段文本"),
    "drop_pair": ("Remove the second text", "移除第二段文本"),
    "predict": ("Predict", "预测"),
    "shortcut": ("Ctrl + Enter", "Ctrl + Enter"),
    "run": ("Model", "模型"),
    "language": ("切换到中文", "Switch to English"),
    "theme_auto": ("Colours follow the system", "配色跟随系统"),
    "theme_light": ("Light colours", "浅色"),
    "theme_dark": ("Dark colours", "深色"),
    "heads": ("What this model answers", "此模型的预测内容"),
    "results": ("Predictions", "预测结果"),
    "empty": ("Type a text first.", "请先输入文本。"),
    "too_long": ("The text is too long: at most {n} characters.", "文本过长：最多 {n} 个字符。"),
    "busy": ("The service is busy. Try again in a moment.", "服务繁忙，请稍后再试。"),
    "failed": ("Something went wrong on our side.", "服务端出现错误。"),
    "abstains": ("Not sure enough to decide", "把握不足，不作判断"),
    "nothing_applies": ("No label applies", "没有适用的标签"),
    "nothing_found": ("Nothing found", "未发现任何实体"),
    "applies": ("applies", "适用"),
    "more": ("{n} more", "另外 {n} 项"),
    "numbers": ("A vector of {n} numbers", "{n} 维向量"),
    "similarity": ("Similarity", "相似度"),
    "interval": ("95 % interval {low} to {high}", "95% 置信区间 {low} 至 {high}"),
    "backbone": ("Backbone", "基座模型"),
    "created": ("Created", "创建时间"),
    "version": ("Version", "版本"),
    "api": ("API documentation", "接口文档"),
    "key": ("API key", "API 密钥"),
    "key_lead": ("This service asks for a key.", "此服务需要密钥。"),
    "key_open": ("Open", "进入"),
    "key_wrong": ("This key does not open the service.", "密钥无效。"),
    "task_classify": ("one label", "单标签分类"),
    "task_multilabel": ("any number of labels", "多标签分类"),
    "task_tag": ("spans in the text", "序列标注"),
    "task_mention": ("one label a mention", "按提及分类"),
    "task_relate": ("relation", "关系分类"),
    "task_score": ("number", "数值评分"),
    "task_embed": ("embedding", "向量表示"),
    "metric_accuracy": ("Accuracy", "准确率"),
    "metric_macro_f1": ("Macro F1", "宏平均 F1"),
    "metric_micro_f1": ("Micro F1", "微平均 F1"),
    "metric_strict_f1": ("Strict F1", "严格 F1"),
    "metric_pearson": ("Pearson correlation", "皮尔逊相关系数"),
    "metric_spearman": ("Spearman correlation", "斯皮尔曼相关系数"),
}


def word(name: str, language: str, **values: object) -> str:
    """The words of a name, with its values filled in. The kind of a task that the page does not know has none."""
    both = WORDS.get(name, ("", ""))
    return both[LANGUAGES.index(language)].format(**values)


def preferred(accept_language: str) -> str:
    """`zh` where an `Accept-Language` header likes Chinese better than English, else `en`.

    A language without a weight has weight 1; the order decides between equal ones (RFC 9110, section 12.5.4).
    """
    best, weight = "en", 0.0
    for entry in accept_language.split(",")[:20]:
        tag, _, quality = entry.strip().partition(";q=")
        language = tag.strip().lower()[:2]
        try:
            asked = float(quality) if quality else 1.0
        except ValueError:
            continue
        if language in LANGUAGES and asked > weight:
            best, weight = language, asked
    return best
