"""What the report says, in English and in Chinese.

The English phrase is its own key. Both languages are written into the page, one of them hidden by its style sheet, so
that the page needs no script to change from one to the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

CUT = "{count} of {of} texts of the {split} split were cut at {limit} tokens."
FURTHER = (
    "{texts} unlabelled texts of {source} were used; {empty} empty ones, {duplicates} repeated ones and {known} that "
    "the labelled data hold were left out."
)
ROUND = "Round {round}: {count} unlabelled texts had a score of {score} or more; then {value} on the validation split."
ROUND_EMPTY = "Round {round}: no unlabelled text had a score of {score} or more."
ROUND_KEPT = "The weights of round {round} were kept (0: without unlabelled texts)."
COPIES = (
    "{made} training texts were made by {kind}: {kept} were kept, {repeated} repeated another text, {disagreed} were "
    "thrown away because the probe reads them otherwise."
)
NO_COPIES = "No training text could be changed by {kind}: there is no word in them that it knows what to do with."
NAMES = "{count} texts that name a label were read as texts of it."
NAMED = "No label was learned from: texts were compared with the names of the labels."
PROMPTED = "No label was learned from: a language model was asked for one of them."
SHOWN = "The model was shown {count} labelled texts beside each one that it answered."
UNLABELLED = "{count} texts have no label; where no held-out text has one, nothing could be measured."
GUESSED = "In the last epoch {count} of {of} unlabelled texts had a label that the model gave them."
MEMBERS = "{head}: on the {split} the members have {values} each, together {value}."
STUDENT = (
    "{head}: one network learned what the ensemble says and took its place; on the {split} it has {own}, where the "
    "ensemble had {value}."
)
DISTILLED = (
    "A student with the layers {layers} of {of} learned what the first run says of {count} texts, {unlabelled} of them "
    "without a label."
)
STATIC = (
    "A student without layers, one vector a token, learned what the first run says of {count} texts, {unlabelled} of "
    "them without a label."
)
OTHER_DATA = "The data is not that which the first run was fitted on."

CHINESE: dict[str, str] = {
    # what the page is
    "Evaluation report": "评估报告",
    "Language": "语言",
    "Fitted with {method} on {backbone}": "在 {backbone} 上以 {method} 方法训练",
    "At a glance": "概览",
    "Training": "训练过程",
    "Data": "数据",
    "Cost": "开销",
    "Recipe": "配方",
    "Environment": "运行环境",
    "Drawn by Metier {version} from evaluation.json.": "由 Metier {version} 根据 evaluation.json 生成。",
    # headline and baselines
    "test split": "测试集",
    "validation split": "验证集",
    "95 % interval {low} – {high}": "95% 置信区间 {low} – {high}",
    "{count} documents": "{count} 条文本",
    "Beside the baselines": "与基线对比",
    "The line on each bar is the 95 % bootstrap interval.": "横线为自助法得到的 95% 置信区间。",
    "This model": "本模型",
    "Probe: logistic regression on frozen embeddings": "探针：冻结向量上的逻辑回归",
    "Majority class": "多数类",
    "Most frequent label set": "最常见的标签组合",
    "Mean of the training values": "训练集均值",
    "No entities at all": "不标任何实体",
    "TF-IDF + logistic regression": "TF-IDF + 逻辑回归",
    "TF-IDF + ridge regression": "TF-IDF + 岭回归",
    "TF-IDF of text and neighbourhood + logistic regression": "全文与提及周围词语的 TF-IDF + 逻辑回归",
    "Most frequent tag of each word": "每个词最常见的标签",
    "TF-IDF cosine": "TF-IDF 余弦",
    "Does not beat “{baseline}”: {own} against {theirs}.": "未能胜过“{baseline}”：{own} 对 {theirs}。",
    "As it is, this head is not worth its cost.": "按目前的效果，这个任务头不值得它的开销。",
    "Ahead of “{baseline}” by {gap} points, but that may be chance (p = {p}).": (
        "领先“{baseline}” {gap} 个百分点，但可能只是偶然（p = {p}）。"
    ),
    "Ahead of “{baseline}” by {gap}, but that may be chance (p = {p}).": (
        "领先“{baseline}” {gap}，但可能只是偶然（p = {p}）。"
    ),
    "Beats every baseline beyond chance (paired bootstrap, p < 0.05).": "显著优于所有基线（配对自助法，p < 0.05）。",
    "Beats every baseline.": "优于所有基线。",
    "Not compared with any baseline.": "未与任何基线比较。",
    # figures by name
    "accuracy": "准确率",
    "exact match": "完全匹配率",
    "hamming loss": "汉明损失",
    "matthews": "马修斯相关系数",
    "strict F1": "严格 F1",
    "micro F1": "微平均 F1",
    "macro F1": "宏平均 F1",
    "weighted F1": "加权平均 F1",
    "samples F1": "按文本平均 F1",
    "micro-F1": "微平均 F1",
    "macro-F1": "宏平均 F1",
    "Pearson": "皮尔逊相关系数",
    "Spearman": "斯皮尔曼相关系数",
    "pearson": "皮尔逊相关系数",
    "spearman": "斯皮尔曼相关系数",
    "rmse": "均方根误差",
    "mae": "平均绝对误差",
    # sections of a head
    "Figures": "指标",
    "By class": "分类别结果",
    "By entity type": "分实体类型结果",
    "Weakest {shown} of {count} classes": "{count} 个类别中最弱的 {shown} 个",
    "All {count} classes": "全部 {count} 个类别",
    "Class": "类别",
    "Precision": "精确率",
    "Recall": "召回率",
    "F1": "F1",
    "Support": "样本数",
    "By token": "分词元结果",
    "Confusion": "混淆情况",
    "Rows are the gold labels, columns the predictions.": "行为真实标签，列为预测标签。",
    "The pairs that are confused most": "最易混淆的类别对",
    "Gold": "真实",
    "Predicted": "预测",
    "Count": "次数",
    "Share of the class": "占该类比例",
    "Nothing was confused.": "没有混淆。",
    # calibration
    "Do the scores mean what they say?": "得分可信吗？",
    "Calibration error (ECE) {after}.": "校准误差（ECE）{after}。",
    "Calibration error (ECE) {before} before, {after} after temperature scaling.": (
        "校准误差（ECE）：温度缩放前 {before}，缩放后 {after}。"
    ),
    "Bins hold equal numbers of documents. On the dashed line a score of 90 % is right nine times in ten.": (
        "每个分箱的文本数相同。落在虚线上时，得分 90% 的预测十次中对九次。"
    ),
    "score": "得分",
    "An answer counts as right when every entity of the text is.": "整条文本的实体全部正确才算答对。",
    "Each mention of a text counts as an answer of its own.": "文本中的每个提及各算一次回答。",
    "An answer counts as right when the whole set of labels is.": "标签集合完全一致才算答对。",
    "An answer counts as right within one standard deviation of the gold value.": (
        "与真实值相差不超过一个标准差即算答对。"
    ),
    "An answer counts as right on the right side of half of the greatest similarity.": (
        "相似度与真实值落在最大值一半的同侧即算答对。"
    ),
    "before": "缩放前",
    "after": "缩放后",
    "perfect": "理想",
    "What does abstaining buy?": "放弃作答能换来什么？",
    "The error among the answers that are left when the least sure are handed to a person. AURC {aurc}.": (
        "把最没把握的部分交给人工后，剩余回答的错误率。AURC {aurc}。"
    ),
    "share answered": "作答比例",
    "error": "错误率",
    "To reach": "目标准确率",
    "floor": "得分下限",
    "answered": "作答比例 ",
    NAMED: "没有从标签中学习：只将文本与标签的名称相比较。",
    PROMPTED: "没有从标签中学习：由语言模型从中选出一个标签。",
    SHOWN: "回答每条文本时，向模型展示了 {count} 条带标签的文本。",
    UNLABELLED: "{count} 条文本没有标签；若留出的文本都没有标签，则无法评估。",
    CUT: "{split}的 {of} 条文本中有 {count} 条在 {limit} 个词元处被截断。",
    COPIES: (
        "用“{kind}”生成了 {made} 条训练文本：保留 {kept} 条，{repeated} 条与其他文本重复，"
        "{disagreed} 条因探针判断不一致而丢弃。"
    ),
    NAMES: "有 {count} 条写出标签名称的文本被当作该标签的文本。",
    NO_COPIES: "“{kind}”未能改动任何训练文本：文本中没有它能处理的词。",
    "typos": "错别字",
    "synonyms": "近义词替换",
    "insertions": "随机插入",
    "swaps": "随机交换",
    "deletions": "随机删除",
    "masked": "掩码替换",
    "translate": "回译",
    FURTHER: (
        "使用了 {source} 中的 {texts} 条无标注文本；略去空文本 {empty} 条、重复文本 {duplicates} 条、"
        "已在标注数据中的文本 {known} 条。"
    ),
    ROUND: "第 {round} 轮：{count} 条无标注文本的得分不低于 {score}；之后验证集指标为 {value}。",
    ROUND_EMPTY: "第 {round} 轮：没有无标注文本的得分达到 {score}。",
    ROUND_KEPT: "保留了第 {round} 轮的权重（0 表示未使用无标注文本）。",
    GUESSED: "最后一轮训练中，{of} 条无标注文本里有 {count} 条带有模型给出的标签。",
    MEMBERS: "{head}：在{split}上，各成员分别为 {values}，合在一起为 {value}。",
    DISTILLED: (
        "学生模型由原模型 {of} 层中的第 {layers} 层构成，学习了原运行对 {count} 条文本的回答，"
        "其中 {unlabelled} 条没有标签。"
    ),
    STATIC: (
        "学生模型没有网络层，每个词元一个向量，学习了原运行对 {count} 条文本的回答，其中 {unlabelled} 条没有标签。"
    ),
    STUDENT: "{head}：单个网络学习集成的回答并取而代之；在{split}上为 {own}，集成为 {value}。",
    OTHER_DATA: "所用数据并非最初训练所用的数据。",
    # a race
    "The race": "方法竞赛",
    "Speed": "速度",
    "Whole calls, from text to calibrated answer, on this machine.": "本机上的完整调用：从文本到校准后的答案。",
    "Runtimes": "运行时",
    "Engine": "引擎",
    "Seconds to load": "载入秒数",
    "Memory, MB": "内存（MB）",
    "On disk, MB": "磁盘（MB）",
    "Texts of {length} tokens": "{length} 个词元的文本",
    "All figures": "全部数字",
    "Tokens": "词元",
    "Texts a call": "每次调用的文本数",
    "Made smaller": "压缩",
    "Made of {of} (version {parent}): {after} MB of {before} MB. Each step was compared with that run on the held-out "
    "texts and could cost {tolerance} points.": "由 {of}（版本 {parent}）得到：{before} MB 压缩为 {after} MB。"
    "每一步都在留出文本上与原运行比较，最多允许损失 {tolerance} 个百分点。",
    "Step": "步骤",
    "Head": "任务头",
    "Before": "之前",
    "After": "之后",
    "Points": "百分点",
    "95 % interval": "95% 区间",
    "Other answers": "答案改变",
    "Probabilities apart": "概率最大差",
    "Classes that lost (F1, points)": "下降的类别（F1，百分点）",
    "What each method cost, and what it reached": "各方法的开销与效果",
    "Fitted on all texts, on a part of them (hollow), and without a language model (grey).": (
        "实心：用全部文本训练；空心：只用一部分；灰色：不含语言模型。"
    ),
    "What more labels would buy": "更多标注能带来什么",
    "{name}, expected": "{name}（预期）",
    "With {times} × the labels ({texts} texts) {name} is expected to reach about {score} ({low} – {high}).": (
        "标注量达到 {times} 倍（{texts} 条）时，预计 {name} 约可达到 {score}（{low} – {high}）。"
    ),
    "The cheapest one that nothing beats by {margin} points within {budget}.": (
        "在 {budget} 之内，没有其他方法比它高出 {margin} 个百分点，而它最省。"
    ),
    "Rung": "方法",
    "Texts": "文本数",
    "Validation": "验证集",
    "Seconds to fit": "训练秒数",
    "Texts a second": "每秒文本数",
    "In-scope accuracy": "范围内准确率",
    "Out-of-scope recall": "范围外召回率",
    "Size": "大小",
    "Fate": "结果",
    "seconds to fit": "训练秒数",
    "training texts": "训练文本数",
    "won": "胜出",
    "baseline": "基线",
    "under the margin": "收益不足",
    "beaten on a part of the texts": "在部分文本上被淘汰",
    "no time": "时间不足",
    "not possible": "不可行",
    "{gain} points": "{gain} 个百分点",
    "{gain} points expected": "预期 {gain} 个百分点",
    "only {room} points are left to gain": "最多只能再提高 {room} 个百分点",
    "about {needed} s needed, {left} s left": "约需 {needed} 秒，只剩 {left} 秒",
    "its fit took longer than what was left": "训练超出了剩余时间",
    # errors
    "Worst errors": "最严重的错误",
    "The mistakes that the model was surest of.": "模型最有把握却答错的文本。",
    "The answers farthest from the gold value.": "与真实值相差最大的文本。",
    "The answers with most parts wrong.": "错误最多的文本。",
    "{count} more": "其余 {count} 条",
    "No errors on this split.": "该数据集上没有错误。",
    "labelled": "标注",
    "predicted": "预测",
    "sure": "把握",
    "missed": "漏标",
    "invented": "误标",
    "Likely mislabelled": "可能标错的样本",
    "Training examples whose label a classifier that never saw them doubts most. Look before you change one.": (
        "未见过这些样本的分类器最怀疑其标签。修改前请人工核对。"
    ),
    "given": "现标签",
    "suggested": "建议标签",
    "Text": "文本",
    # training, data, cost
    "Loss": "损失",
    "Headline on the validation split": "验证集主要指标",
    "Learning rate": "学习率",
    "step": "步数",
    "This method has no learning curve.": "该方法没有学习曲线。",
    "train": "训练集",
    "valid": "验证集",
    "test": "测试集",
    "Source": "来源",
    "Fingerprint": "指纹",
    "Duplicates removed": "去除的重复样本",
    "Rows without text or label left out": "略去的无文本或无标签的行",
    "Rows of other splits left out": "略去的其他划分的行",
    "Leaked rows removed from train": "从训练集去除的泄漏样本",
    "Texts cut at the window": "被截断的文本比例",
    "Texts read in several windows": "分多个窗口读取的文本比例",
    "Languages": "语言种类",
    "Time": "用时",
    "Examples a second": "每秒样本数",
    "Peak memory": "内存峰值",
    "Parameters": "参数量",
    "Weights trained": "训练的权重数",
    "Stage": "阶段",
    # a search
    "Search": "搜索",
    "Best validation score {score}, of trial {number}": "最佳验证得分 {score}（第 {number} 次试验）",
    "{whole} trials whole, {cut} cut short, {failed} failed": "{whole} 次试验完成，{cut} 次提前终止，{failed} 次失败",
    "mean of {count} folds": "{count} 折平均",
    "Trials": "试验",
    "trial": "试验",
    "Score of each trial": "每次试验的得分",
    "On the validation split; grey: cut short by the median of the others. The line is the best so far.": (
        "在验证集上；灰色：因低于其他试验的中位数而提前终止。折线为截至当时的最佳得分。"
    ),
    "Importance": "重要性",
    "The share of the differences between trials that each parameter explains (fANOVA).": (
        "各参数所解释的试验间差异的比例（fANOVA）。"
    ),
    "Too few whole trials to say which parameter matters.": "完成的试验太少，无法判断哪个参数重要。",
    "Best trials": "最佳试验",
    "Values tried": "试过的取值",
    "All others": "其余全部",
    "ended": "结果",
    "whole": "完成",
    "cut short": "提前终止",
    "failed": "失败",
    "The test split was not looked at: these scores chose the recipe and flatter it.": (
        "未查看测试集：配方由这些得分选出，因而得分偏高。"
    ),
}
"""Chinese by English; braces are filled alike in both."""


def _both(tag: str, phrase: str, values: dict[str, Any]) -> Markup:
    """Both languages, each in an element of its own; what is no phrase of ours, a user's word, stays as it is."""
    if phrase not in CHINESE:
        return escape(phrase)
    texts = {"en": phrase, "zh": CHINESE[phrase]}
    parts = []
    for language, text in texts.items():
        filled = {key: escape(_in(language, value)) for key, value in values.items()}
        parts.append(f'<{tag} class="{language}" lang="{language}">{escape(text).format(**filled)}</{tag}>')
    return Markup("".join(parts))  # every piece was escaped above


class Title(str):
    """An English phrase that stands inside another one and is translated with it."""

    __slots__ = ()


def _in(language: str, value: Any) -> Any:
    return CHINESE.get(value, value) if isinstance(value, Title) and language == "zh" else value


def html(phrase: str, **values: Any) -> Markup:
    """A phrase as two spans. Values are escaped."""
    return _both("span", phrase, values)


def note(said: Mapping[str, Any]) -> Markup:
    """A note of the findings: its phrase, filled."""
    values = {key: Title(value) if isinstance(value, str) else value for key, value in said.items() if key != "says"}
    return html(said["says"], **values)


def svg(phrase: str, **values: Any) -> Markup:
    """A phrase as two tspans, for the inside of an SVG text."""
    return _both("tspan", phrase, values)
