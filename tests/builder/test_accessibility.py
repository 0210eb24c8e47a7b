"""What is mended in a finished page, and what is left as it was."""

import pytest

from pm_utils.builder.accessibility import (
    label_checkboxes,
    mark_chinese,
    mend,
    mend_content,
    mend_theme,
    unique_ids,
)


@pytest.mark.parametrize(
    ("html", "marked"),
    [
        ("<p>漏斗 and 客户</p>", ["漏斗", "客户"]),
        ("<li>引言：精准营销</li>", ["引言：精准营销"]),
        ("<p>（漏斗）</p>", ["漏斗"]),
        ('<img alt="漏斗"><script>"漏斗"</script><title>漏斗</title><!-- 漏斗 -->', []),
        ("<svg><text>漏斗</text></svg>", []),
        ("<p>no Chinese, “quotes” and …</p>", []),
    ],
)
def test_runs_of_chinese_words_are_marked_where_elements_may_stand(html, marked):
    parts = mark_chinese(html).split('<span lang="zh">')
    assert [part.partition("</span>")[0] for part in parts[1:]] == marked
    assert mark_chinese(html).replace('<span lang="zh">', "").replace("</span>", "") == html


def test_the_first_of_equal_ids_is_kept_and_no_new_id_is_taken():
    html = '<a id="x"></a><b lang="en" id="x"></b><i id="x"></i><u id="x-2"></u><s></s>'
    assert unique_ids(html) == (
        '<a id="x"></a><b lang="en" id="x-3"></b><i id="x-4"></i><u id="x-2"></u><s></s>'
    )


@pytest.mark.parametrize("paragraph", ["", "<p>"])
def test_each_box_is_named_by_its_item_and_can_be_ticked(paragraph):
    box = '<input class="task-list-item-checkbox" disabled="disabled" type="checkbox">'
    items = f'<li class="task-list-item">{paragraph}{box} Ask.</li>' * 2
    html = label_checkboxes(items)
    for number in (1, 2):
        assert f'<li class="task-list-item" id="pm-task-{number}">{paragraph}<input' in html
        assert f'aria-labelledby="pm-task-{number}"' in html
    assert "disabled" not in html


def test_the_visible_words_of_a_button_are_its_name():
    button = '<button class="btn search-button-field x" title="Search" aria-label="Search">'
    assert "aria-label" not in mend_theme(button)
    icon = '<i class="theme-switch fa-solid" data-mode="dark"  title="Dark"></i>'
    assert "title" not in mend_theme(icon)
    other = '<button class="btn search-button" aria-label="Search"><i title="x"></i></button>'
    assert mend_theme(other) == other


@pytest.mark.parametrize("words", ["", "&nbsp;", " \n", "<p></p>"])
def test_a_header_without_words_is_a_cell(words):
    assert mend_content(f'<th class="blank">{words}</th>') == '<td class="blank"></td>'
    assert mend_content("<th>a</th><thead></thead>") == "<th>a</th><thead></thead>"
    folded = '<summary aria-label="Toggle hidden content">Show code cell source</summary>'
    assert mend_content(folded) == "<summary>Show code cell source</summary>"


def test_a_page_is_mended_below_its_head_and_mending_ids_twice_changes_nothing():
    page = '<html><head><title>漏</title></head><body><p id="a">漏</p><p id="a"></p></body></html>'
    once = mend(page)
    assert once.count('lang="zh"') == 1 and 'id="a-2"' in once
    assert unique_ids(once) == once


def test_formulas_and_attributes_stay_as_they_are():
    formula = '<span class="math notranslate nohighlight">\\(a = \\text{漏斗}\\)</span>'
    picture = '<img alt="a > 漏斗 b">'
    assert mark_chinese(formula + picture) == formula + picture
    assert "<span lang" in mark_chinese(f"{formula} 漏斗")
