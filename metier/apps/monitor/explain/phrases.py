"""What the brief says; the English phrase is its own key."""

from __future__ import annotations

CHINESE: dict[str, str] = {
    "Alert": "告警",
    "All stories": "全部报道",
    "critical": "严重",
    "warning": "警告",
    "info": "提示",
    "pending": "待定",
    "firing": "触发中",
    "resolved": "已恢复",
    "inactive": "未触发",
    "{observed} negative stories where {expected} were expected": "负面报道 {observed} 篇，预期 {expected} 篇",
    "since {time}": "始于 {time}",
    "ended {time}": "结束于 {time}",
    "came back {count} times": "复发 {count} 次",
    "Open in the console": "在控制台中打开",
    "Summary": "摘要",
    "Written by a generator. Sentences that cite no story, or say what it does not say, were left out.": (
        "由生成模型撰写。未引用报道或与所引报道不符的句子已删去。"
    ),
    "No summary: the generator has not answered yet. Open the page again later.": (
        "暂无摘要：生成模型尚未答复。请稍后重新打开本页。"
    ),
    "No summary: nothing that the generator wrote is borne out by the stories.": (
        "没有摘要：生成模型所写内容均未得到报道印证。"
    ),
    "Counts": "计数",
    "Negative stories per tick; below, each statistic as a multiple of its threshold.": (
        "每个时段的负面报道数；下方为各统计量与其阈值之比。"
    ),
    "counted": "实际",
    "a detector fired": "检测器触发",
    "expected, with its 95 % band": "预期及其 95% 区间",
    "nothing collected": "无采集",
    "threshold": "阈值",
    "Why": "原因",
    "detector": "检测器",
    "highest statistic": "统计量最高值",
    "times": "倍数",
    "fired": "触发",
    "yes": "是",
    "no": "否",
    "Said more often than before": "比以往更常提到",
    "Words": "词语",
    "Names": "名称",
    "Sources": "来源",
    "z-scores of weighted log-odds; n / m: said n times now, m times before": (
        "z 值来自加权对数优势；n / m：现在 n 次，以往 m 次"
    ),
    "No word stands out.": "没有突出的词语。",
    "No source is known.": "来源不详。",
    "Stories": "报道",
    "{shown} of {all} stories, the hottest and the most negative ones": (
        "共 {all} 篇报道，列出热度最高与最负面的 {shown} 篇"
    ),
    "No story is kept.": "没有保存报道。",
    "{count} documents": "{count} 篇文档",
    "negative {share}": "负面 {share}",
    "What people said": "人工处理",
    "acknowledge": "已确认",
    "snooze": "已暂停提醒",
    "verdict": "判定",
    "comment": "备注",
    "true": "属实",
    "false": "误报",
    "unclear": "不明确",
    "alert": "告警编号",
    "run": "模型版本",
    "baseline": "基线",
    "{stories} stories, {words} words": "{stories} 篇报道，{words} 个词",
    "times are of the zone": "时间所属时区",
    "words are compared by": "词语比较方法",
    "Chinese is cut by": "中文切分方法",
    "Everything on this page is in the store of the monitor.": "本页内容均来自监测系统的存储。",
}
