"""Documents in their formats: what is read of them, what is refused and with which line, and what changed."""

import os
import time
import zipfile

import pytest

from metier.data.papers.folder import changed, read_folder, read_paper
from metier.data.papers.paper import Limits
from metier.errors import DataError

pytest.importorskip("markdown_it")
pytest.importorskip("defusedxml")

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
STYLES = f"""<w:styles xmlns:w="{W}">
<w:style w:type="paragraph" w:styleId="H1"><w:name w:val="heading 1"/></w:style>
<w:style w:type="paragraph" w:styleId="Own"><w:name w:val="Own"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>
</w:styles>"""


def paragraph(text, style=""):
    styled = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{styled}<w:r><w:t>{text}</w:t></w:r></w:p>"


def docx(path, body, **files):
    document = f'<?xml version="1.0"?><w:document xmlns:w="{W}"><w:body>{body}</w:body></w:document>'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        for name, content in {"word/styles.xml": STYLES, "word/document.xml": document, **files}.items():
            archive.writestr(name, content)
    return path


def pdf(path, pages, outline=(), password=None):
    fpdf = pytest.importorskip("fpdf")
    pytest.importorskip("pypdf")
    document = fpdf.FPDF()
    document.set_font("Helvetica", size=11)
    for number, lines in enumerate(pages, 1):
        document.add_page()
        for line in lines:
            if line in outline:
                document.start_section(line)
            document.cell(0, 8, line, new_x="LMARGIN", new_y="NEXT")
        document.cell(0, 8, f"Page {number}", new_x="LMARGIN", new_y="NEXT")
    if password:
        document.set_encryption(owner_password="owner", user_password=password)
    document.output(str(path))
    return path


def read(tmp_path, name, content, **limits):
    file = tmp_path / name
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        file.write_text(content, encoding="utf-8")
    paper = read_paper(tmp_path, name, Limits(**limits))
    for block in paper.blocks:
        assert paper.text[block.start : block.start + len(block.text)] == block.text
    return paper


def shape(paper):
    return [(block.kind, block.level, block.text) for block in paper.blocks]


MARKDOWN = """---
title: "Fees & limits"
---
# Cards

A card costs **3 EUR** a [month](https://example.com)
and `nothing` for students. ![a card](card.png)

## Abroad

| place | fee |
|---|---|
| EU | 0 % |
| else | 1.75 % |

- first
- second
  - third

<script>alert(1)</script>
<p>Plain &amp; simple</p>

```
code here
```
"""


def test_markdown(tmp_path):
    paper = read(tmp_path, "fees.md", MARKDOWN)
    assert paper.title == "Fees & limits" and paper.path == "fees.md"
    assert shape(paper) == [
        ("heading", 1, "Cards"),
        ("text", 0, "A card costs 3 EUR a month and nothing for students. a card"),
        ("heading", 2, "Abroad"),
        ("lines", 0, "place | fee\nEU | 0 %\nelse | 1.75 %"),
        ("lines", 0, "first\nsecond\nthird"),
        ("text", 0, "Plain & simple"),
        ("lines", 0, "code here"),
    ]


def test_chinese_lines_are_joined_without_blanks(tmp_path):
    paper = read(tmp_path, "zh.md", "# 信用卡\n\n年费是\n三元，\nVisa 卡\n除外。\n")
    assert shape(paper)[1][2] == "年费是三元，Visa 卡除外。" or shape(paper)[1][2] == "年费是三元， Visa 卡除外。"
    assert paper.language == "zh" and paper.title == "信用卡"


HTML = """<!doctype html><html><head><title>Help &mdash; Cards</title><style>p{}</style>
<script>var a = "<p>x</p>"</script>
</head><body><nav><a href=/>Home</a></nav><header><h1>Cards</h1></header>
<p>Costs&nbsp;3&nbsp;EUR<br>a month.<p>Second &lt;one&gt;
<ul><li>first<li>second</ul>
<table><tr><th>place<th>fee</tr><tr><td>EU</td><td><p>0 %</p></td></tr></table>
<div hidden>secret</div><pre>a
 b</pre><h2>Abroad</h2>Loose text<form><p>Send</p></form><footer>(c)</footer></body></html>"""


def test_html(tmp_path):
    paper = read(tmp_path, "help.html", HTML)
    assert paper.title == "Help \u2014 Cards"
    assert shape(paper) == [
        ("heading", 1, "Cards"),
        ("text", 0, "Costs 3 EUR a month."),
        ("text", 0, "Second <one>"),
        ("lines", 0, "first\nsecond"),
        ("lines", 0, "place | fee\nEU | 0 %"),
        ("lines", 0, "a\nb"),
        ("heading", 2, "Abroad"),
        ("text", 0, "Loose text"),
    ]


@pytest.mark.parametrize("markup", ["<p>text<![foo", "text<", "<p>a<table><tr><td>b", "</p></table>text</ul>", "a<!--"])
def test_broken_html_is_read_as_far_as_it_goes(tmp_path, markup):
    assert read(tmp_path, "broken.html", markup).text[0] in "at"


@pytest.mark.parametrize("markup", ["<" * 300_000, "<a " * 100_000, "<!--" * 80_000, "<p" * 150_000, "<td>" * 80_000,
                                    "<div>" * 80_000, "<svg>" * 80_000, "&#" * 150_000])  # fmt: skip
def test_malformed_pages_take_no_longer_than_their_length(tmp_path, markup):
    start = time.process_time()
    read(tmp_path, "long.html", "<p>some text</p>" + markup)
    assert time.process_time() - start < 10


def test_encodings(tmp_path):
    assert read(tmp_path, "a.txt", "信用卡的年费是多少？".encode("gb18030")).text == "信用卡的年费是多少？"
    assert read(tmp_path, "b.txt", "Grüße".encode("utf-16")).text == "Grüße"
    page = '<meta charset="iso-8859-1"><p>Gr\u00fc\u00dfe</p>'
    assert read(tmp_path, "c.html", page.encode("latin-1")).text == "Gr\u00fc\u00dfe"
    with pytest.raises(DataError, match="neither UTF-8 nor GB18030"):
        read(tmp_path, "d.txt", b"caf\xe9 cr\xe8me \xff")


def test_docx(tmp_path):
    row = "".join(f"<w:tc>{paragraph(text)}</w:tc>" for text in ("EU", "0 %"))
    deleted = (
        "<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins><w:r><w:t>kept</w:t></w:r></w:ins></w:p>"
    )
    body = (
        paragraph("Cards", "H1") + paragraph("A card &amp; a pin.") + paragraph("Abroad", "Own") + deleted
        + f"<w:tbl><w:tr>{row}</w:tr><w:tr>{row}</w:tr></w:tbl>"
        + f"<w:sdt><w:sdtContent>{paragraph('inside')}</w:sdtContent></w:sdt>"
    )  # fmt: skip
    core = '<c xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Fees</dc:title></c>'
    docx(tmp_path / "a.docx", body, **{"docProps/core.xml": core})
    paper = read(tmp_path, "a.docx", None)
    assert paper.title == "Fees"
    assert shape(paper) == [
        ("heading", 1, "Cards"), ("text", 0, "A card & a pin."), ("heading", 2, "Abroad"), ("text", 0, "kept"),
        ("lines", 0, "EU | 0 %\nEU | 0 %"), ("text", 0, "inside"),
    ]  # fmt: skip


def test_docx_that_grow_or_lie_are_refused(tmp_path):
    docx(tmp_path / "bomb.docx", paragraph("x"), **{"word/media/a": b"\0" * (30 << 20)})
    with pytest.raises(DataError, match="times its size"):
        read(tmp_path, "bomb.docx", None)
    docx(tmp_path / "large.docx", paragraph("x" * 3_000_000))
    with pytest.raises(DataError, match="bytes when unzipped"):
        read(tmp_path, "large.docx", None, unzipped=1 << 20)
    docx(tmp_path / "many.docx", paragraph("x"), **{f"word/{at}": "" for at in range(60)})
    with pytest.raises(DataError, match="63 files"):
        read(tmp_path, "many.docx", None, entries=50)
    entity = '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    docx(tmp_path / "entity.docx", "", **{"word/styles.xml": entity})
    with pytest.raises(DataError, match="entities"):
        read(tmp_path, "entity.docx", None)
    whole = docx(tmp_path / "cut.docx", paragraph("some text")).read_bytes()
    for content in (whole[:-60], whole[:40] + b"\xff" * 30 + whole[70:]):
        with pytest.raises(DataError, match=r"broken Word document|no Word document"):
            read(tmp_path, "cut.docx", content)
    with zipfile.ZipFile(tmp_path / "sheet.docx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<a/>")
    with pytest.raises(DataError, match="no word/document.xml"):
        read(tmp_path, "sheet.docx", None)


def test_deeply_nested_docx(tmp_path):
    docx(tmp_path / "deep.docx", paragraph("top") + "<w:sdt>" * 5000 + paragraph("deep") + "</w:sdt>" * 5000)
    assert read(tmp_path, "deep.docx", None).text.startswith("top")


def test_pdf(tmp_path):
    long = "The fee for cash withdrawals outside the euro area is 1.75 per cent of the"
    pages = [
        ["Bank of Examples", "Fees", long, "amount, and it is charged with the next state-", "ment.", "A second one."],
        ["Bank of Examples", "1 Limits", long + ".", "Limits can be changed."],
        ["Bank of Examples", long + ".", "The end."],
    ]
    pdf(tmp_path / "a.pdf", pages, outline=("Fees",))
    paper = read(tmp_path, "a.pdf", None)
    assert ("heading", 1, "Fees") in shape(paper) and ("heading", 1, "1 Limits") in shape(paper)
    assert "Bank of Examples" not in paper.text and "Page 1" not in paper.text
    assert "the amount, and it is charged with the next statement." in paper.text
    assert [block.page for block in paper.blocks if block.text.endswith("The end.")] == [3]


def test_pdf_that_cannot_be_read(tmp_path):
    pdf(tmp_path / "locked.pdf", [["secret"]], password="geheim")
    with pytest.raises(DataError, match="is encrypted"):
        read(tmp_path, "locked.pdf", None)
    whole = pdf(tmp_path / "whole.pdf", [["some text"]] * 3).read_bytes()
    with pytest.raises(DataError, match=r"broken PDF|holds no text|cannot be read"):
        read(tmp_path, "broken.pdf", whole[:200])
    with pytest.raises(DataError, match="3 pages, more than 2"):
        read(tmp_path, "whole.pdf", None, pages=2)
    with pytest.raises(DataError, match="takes longer than"):
        read(tmp_path, "whole.pdf", None, seconds=0.001)
    with pytest.raises(DataError, match="more than 20 characters"):
        read(tmp_path, "whole.pdf", None, characters=20)
    pdf(tmp_path / "empty.pdf", [[]])
    with pytest.raises(DataError, match="no text"):
        read(tmp_path, "drawing.pdf", (tmp_path / "empty.pdf").read_bytes().replace(b"Page 1", b"      "))


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.pdf", b"<html><p>x</p>", "no pdf file: it begins like text"),
        ("a.docx", b"%PDF-1.7", "no docx file: it begins like PDF"),
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1", "an encrypted or an old"),
        ("a.txt", b"PK\x03\x04rest", "begins like zip"),
        ("a.md", b"\x1f\x8b\x08\0", "begins like gzip"),
        ("a.html", b"\x89PNG\r\n", "begins like a picture"),
        ("a.txt", b"ab\0\1\2", "begins like binary data"),
        ("a.txt", b" \n ", "is empty"),
        ("a.html", b"<script>x</script>", "holds no text"),
        ("a.exe", b"MZ", "no document that is read here"),
        ("a.txt", b"x" * 200, "200 bytes"),
    ],
)
def test_refused_with_one_line(tmp_path, name, content, line):
    with pytest.raises(DataError, match=line) as caught:
        read(tmp_path, name, content, size=100)
    assert "\n" not in str(caught.value)


def test_folder(tmp_path):
    inside, outside = tmp_path / "docs", tmp_path / "outside"
    (inside / "sub" / ".git").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret.md").write_text("secret")
    (inside / "a.md").write_text("# A\n\ntext")
    (inside / "sub" / "b.txt").write_text("text")
    (inside / "sub" / "bad.pdf").write_text("no pdf")
    for hidden in (".hidden.md", "~$a.docx", "sub/.git/x.md"):
        (inside / hidden).write_text("hidden")
    (inside / "out.md").symlink_to(outside / "secret.md")
    (inside / "outdir").symlink_to(outside)
    (inside / "loop").symlink_to(inside)
    (inside / "dangling.md").symlink_to(inside / "nothing.md")
    (inside / "alias.md").symlink_to(inside / "a.md")
    os.mkfifo(inside / "pipe.md")
    reading = read_folder(inside)
    assert [paper.path for paper in reading.papers] == ["a.md", "alias.md", "sub/b.txt"]
    assert [(one.path, "begins like text" in one.reason) for one in reading.refused] == [("sub/bad.pdf", True)]
    for path in ("out.md", "../outside/secret.md", "nothing.md"):
        with pytest.raises(DataError, match="no file inside the folder"):
            read_paper(inside, path)
    with pytest.raises(DataError, match="cannot be read"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match="3 documents|4 documents"):
        read_folder(inside, Limits(files=1))


def test_changes_of_a_folder(tmp_path):
    for name in ("a.md", "b.md", "c.md"):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, (1_000_000_000, 1_000_000_000))
    first = changed(tmp_path, {})
    assert first.fresh == ("a.md", "b.md", "c.md") and all(mark.settled for mark in first.marks.values())
    assert changed(tmp_path, first.marks) == type(first)(first.marks, (), ())
    (tmp_path / "a.md").write_text("A.md")  # as long as before
    os.utime(tmp_path / "b.md")  # touched, not changed
    (tmp_path / "c.md").unlink()
    (tmp_path / "d.md").write_text("d")
    second = changed(tmp_path, first.marks)
    assert (second.fresh, second.gone) == (("a.md", "d.md"), ("c.md",))
    now = (tmp_path / "a.md").stat().st_mtime_ns
    (tmp_path / "a.md").write_text("B.md")  # a second change under the same time
    os.utime(tmp_path / "a.md", ns=(now, now))
    assert changed(tmp_path, second.marks).fresh == ("a.md",)


def test_looking_at_many_files_is_cheap(tmp_path):
    for at in range(2_000):
        (tmp_path / f"{at}.md").write_text("x")
        os.utime(tmp_path / f"{at}.md", (1_000_000_000, 1_000_000_000))
    marks = changed(tmp_path, {}).marks
    start = time.process_time()
    assert not changed(tmp_path, marks).fresh
    assert time.process_time() - start < 0.2
