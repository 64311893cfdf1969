//! `index.html` in a real browser: what it shows, what its switches do, and whom it leaves out.
//!
//! One Chromium serves all of these tests, one after the other; where none is installed each says so in a line.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

mod browser;

use std::fs;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use roundtable_harness::plan::{Value, factor};
use roundtable_harness::record::store;
use roundtable_harness::report::{self, Beside, Form};
use serde_json::json;
use tempfile::TempDir;

use self::browser::Browser;

/// The page of a committed run, alone in a folder, and the browser that shows it.
struct Shown {
    browser: Browser,
    url: String,
    _folder: TempDir,
}

static SHOWN: LazyLock<Mutex<Option<Shown>>> = LazyLock::new(|| Mutex::new(Shown::start()));

impl Shown {
    fn start() -> Option<Self> {
        let browser = Browser::start()?;
        let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/reference");
        let mut stored = store::read(&run).unwrap();
        // Two backend counts of five: a debug build takes its time over the rest.
        stored.trials.retain(|trial| trial.cell.condition.backends <= 2);
        let plan = stored.environment.plan;
        stored.environment.plan =
            plan.over(&factor::BACKENDS, &[Value::Number(1), Value::Number(2)]).unwrap();
        let page = report::in_form(&stored, &Beside::default(), Form::Html).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("index.html"), page).unwrap();
        let url = format!("file://{}/index.html", folder.path().display());
        Some(Shown { browser, url, _folder: folder })
    }

    /// Loads the page anew, at a place of it or in a state.
    fn at(&mut self, fragment: &str) {
        let url = format!("{}{fragment}", self.url);
        self.browser.open(&url);
    }

    fn ask(&mut self, expression: &str) -> serde_json::Value {
        self.browser.eval(expression)
    }

    /// Asks for a list of what is wrong.
    fn faults(&mut self, expression: &str) -> Vec<String> {
        serde_json::from_value(self.ask(expression)).unwrap()
    }
}

/// Does `work` with the page on a wide, light screen, where there is a browser; then nothing may have been complained of, and
/// nothing asked of any network.
fn on_the_page(work: impl FnOnce(&mut Shown)) {
    let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(shown) = shown.as_mut() else { return };
    shown.browser.emulate(1280, "light");
    shown.at("");
    work(shown);
    let url = shown.url.clone();
    assert_eq!(shown.browser.complaints(&url), [""; 0]);
}

/// How many marks of a model can be seen.
fn marks(model: &str) -> String {
    format!(
        "Array.from(document.querySelectorAll('g.mark[data-competitor=\"{model}\"]')).filter(mark => mark.getClientRects().length).length"
    )
}

#[test]
fn no_screen_scrolls_sideways() {
    on_the_page(|shown| {
        for (width, scheme) in [(1280, "light"), (768, "dark"), (390, "light"), (320, "dark")] {
            shown.browser.emulate(width, scheme);
            shown.at("");
            let wide = shown.ask("document.documentElement.scrollWidth");
            assert!(wide.as_u64().unwrap() <= width.into(), "{width}: {wide}");
        }
    });
}

#[test]
fn switches_leave_out_models_conditions_and_charts_and_bring_them_back() {
    on_the_page(|shown| {
        let before = shown.ask(&marks("mio")).as_u64().unwrap();
        assert!(before > 20, "{before}");
        shown.ask("document.querySelector('#switches input[value=mio]').click()");
        assert_eq!(shown.ask(&marks("mio")), 0);
        assert!(shown.ask(&marks("tokio")).as_u64().unwrap() > 20);
        assert_eq!(shown.ask("location.hash"), "#without=mio");
        let rows = "Array.from(document.querySelectorAll('table[data-filtered] tbody tr')).filter(row => row.cells[0].dataset.v === 'mio' && row.getClientRects().length).length";
        assert_eq!(shown.ask(rows), 0);
        let choose = |name: &str, value: &str| {
            format!(
                "(() => {{ const of = document.querySelector('#switches select[name={name}]'); of.value = '{value}'; of.dispatchEvent(new Event('change', {{ bubbles: true }})); }})()"
            )
        };
        shown.ask(&choose("backends", "2"));
        shown.ask(&choose("chart", "cpu"));
        let others = "document.querySelectorAll('main figure:not(.off)').length";
        assert_eq!(shown.ask(others), 1);
        let foreign = "Array.from(document.querySelectorAll('g.mark[data-backends=\"1\"]')).filter(mark => mark.getClientRects().length).length";
        assert_eq!(shown.ask(foreign), 0);
        assert_eq!(shown.ask("location.hash"), "#chart=cpu&backends=2&without=mio");
        shown.ask("document.querySelector('#switches button[type=reset]').click()");
        shown.ask("new Promise(done => setTimeout(done, 50))");
        assert_eq!(shown.ask(&marks("mio")), before);
        assert_eq!(shown.ask("location.hash"), "");
    });
}

#[test]
fn the_state_comes_back_with_the_address() {
    on_the_page(|shown| {
        shown.at("#concurrency=5&without=mio,pool&sort.cells-2=4down");
        assert_eq!(shown.ask(&marks("mio")), 0);
        assert_eq!(shown.ask("document.querySelector('#switches select[name=concurrency]').value"), "5");
        let sorted = "document.querySelectorAll('#cells-2 thead th')[4].getAttribute('aria-sort')";
        assert_eq!(shown.ask(sorted), "descending");
        shown.at("#concurrency=nonsense&without=nobody&sort.nowhere=1up&sort.cells-2=99up");
        assert!(shown.ask(&marks("mio")).as_u64().unwrap() > 20);
        shown.at("#method");
        assert!(
            shown
                .ask("document.getElementById('method').getBoundingClientRect().top < 200")
                .as_bool()
                .unwrap()
        );
    });
}

#[test]
fn a_heading_sorts_its_column_by_keyboard() {
    on_the_page(|shown| {
        shown.ask("document.querySelectorAll('#cells-2 thead button')[5].focus()");
        let values = "Array.from(document.querySelectorAll('#cells-2 tbody tr')).map(row => row.cells[5].dataset.v).filter(v => !Number.isNaN(Number(v))).map(Number)";
        let read = |shown: &mut Shown| -> Vec<f64> { serde_json::from_value(shown.ask(values)).unwrap() };
        shown.browser.press("Enter");
        let up = read(shown);
        assert!(up.len() > 20 && up.is_sorted(), "{up:?}");
        shown.browser.press("Enter");
        let mut down = read(shown);
        down.reverse();
        assert_eq!(down, up);
    });
}

#[test]
fn arrow_keys_and_the_pointer_tell_what_a_mark_stands_for() {
    on_the_page(|shown| {
        shown.ask("document.querySelector('#chart-throughput .panels').focus()");
        let told =
            "(document.getElementById('tip').hidden ? '' : document.getElementById('tip').textContent)";
        assert_eq!(shown.ask(told), "");
        shown.browser.press("ArrowRight");
        let first = shown.ask(told);
        assert!(first.as_str().unwrap().contains("direct, 1 backend, concurrency 2: "), "{first}");
        shown.browser.press("ArrowRight");
        assert_ne!(shown.ask(told), first);
        shown.browser.press("ArrowLeft");
        assert_eq!(shown.ask(told), first);
        shown.browser.press("Escape");
        assert_eq!(shown.ask(told), "");
        let at = shown.ask("(() => { const mark = document.querySelector('#chart-forest g.mark'); mark.scrollIntoView(); const at = mark.getBoundingClientRect(); return [at.x + at.width / 2, at.y + at.height / 2]; })()");
        shown
            .browser
            .call("Input.dispatchMouseEvent", json!({ "type": "mouseMoved", "x": at[0], "y": at[1] }));
        let text = shown.ask(told);
        assert!(text.as_str().unwrap().contains("async / threaded, 1 backend, concurrency 2: CPU"), "{text}");
    });
}

#[test]
fn everything_can_be_reached_by_the_tab_key_beginning_with_a_way_past_the_head() {
    on_the_page(|shown| {
        shown.browser.press("Tab");
        assert_eq!(shown.ask("document.activeElement.className"), "skip");
        let missed = "Array.from(document.querySelectorAll('a[href], button, select, input, summary, .wide, .panels')).filter(of => of.getClientRects().length && of.tabIndex < 0).map(of => of.outerHTML.slice(0, 80))";
        assert_eq!(shown.faults(missed), [""; 0]);
    });
}

#[test]
fn what_a_screen_reader_is_told_is_whole() {
    on_the_page(|shown| {
        assert_eq!(shown.ask("document.documentElement.lang"), "en");
        for (rule, broken) in [
            (
                "one of each landmark",
                "['header', 'nav', 'main', 'h1'].filter(of => document.querySelectorAll(of).length !== 1)",
            ),
            (
                "ids are its own",
                "(() => { const ids = Array.from(document.querySelectorAll('[id]')).map(of => of.id); return ids.filter((id, i) => ids.indexOf(id) !== i); })()",
            ),
            (
                "headings go down one level at a time",
                "Array.from(document.querySelectorAll('h1, h2, h3, h4')).filter((of, i, all) => i && of.tagName[1] - all[i - 1].tagName[1] > 1).map(of => of.textContent)",
            ),
            (
                "every heading of a table has its scope",
                "Array.from(document.querySelectorAll('th:not([scope])')).map(of => of.textContent)",
            ),
            (
                "every row of a table has its heading",
                "Array.from(document.querySelectorAll('tbody tr')).filter(of => !of.querySelector('th[scope=row]')).map(of => of.textContent)",
            ),
            (
                "what scrolls can be focused and has a name",
                "Array.from(document.querySelectorAll('.wide')).filter(of => of.tabIndex < 0 || !of.getAttribute('aria-label')).map(of => of.outerHTML.slice(0, 80))",
            ),
            (
                "every drawing is named by what it shows",
                "Array.from(document.querySelectorAll('svg')).filter(of => of.getAttribute('aria-hidden') !== 'true' && !(of.getAttribute('role') === 'img' && /: .*\\d/.test(of.getAttribute('aria-label')))).map(of => of.outerHTML.slice(0, 80))",
            ),
            (
                "every field has a label",
                "Array.from(document.querySelectorAll('select, input')).filter(of => !of.labels.length).map(of => of.outerHTML)",
            ),
            (
                "every link leads somewhere",
                "Array.from(document.querySelectorAll('a[href^=\"#\"]')).filter(of => !document.getElementById(of.hash.slice(1))).map(of => of.hash)",
            ),
            (
                "no Markdown is left",
                "document.body.innerText.split('\\n').filter(line => line.includes('`') || line.includes('**'))",
            ),
        ] {
            assert_eq!(shown.faults(broken), [""; 0], "{rule}");
        }
    });
}

/// Elements whose own text has less contrast to what is behind it than WCAG asks of text (4.5, large: 3).
const PALE: &str = r"(() => {
    const channels = (color) => color.match(/[\d.]+/g).map(Number);
    const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255)
        .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (element) => {
        for (let of = element; of; of = of.parentElement) {
            const color = channels(getComputedStyle(of).backgroundColor);
            if (color.length < 4 || color[3] > 0) return color;
        }
        return [255, 255, 255];
    };
    const pale = [];
    for (const of of document.querySelectorAll('body *')) {
        const own = Array.from(of.childNodes).some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!own || !of.getClientRects().length || ['SCRIPT', 'STYLE', 'OPTION'].includes(of.tagName)) continue;
        const style = getComputedStyle(of);
        const color = of.namespaceURI.endsWith('svg') ? style.fill : style.color;
        const [a, b] = [luminance(channels(color)), luminance(behind(of))].sort((a, b) => b - a);
        const least = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;
        if ((a + 0.05) / (b + 0.05) < least) pale.push(of.textContent.trim().slice(0, 40) + ' ' + color);
    }
    return pale;
})()";

#[test]
fn no_text_is_pale_in_light_or_dark_and_drawings_follow_the_theme() {
    on_the_page(|shown| {
        let paper = "getComputedStyle(document.querySelector('svg.panel text')).fill + getComputedStyle(document.body).backgroundColor";
        let light = shown.ask(paper);
        assert_eq!(shown.faults(PALE), [""; 0], "light");
        shown.browser.emulate(1280, "dark");
        shown.at("");
        assert_ne!(shown.ask(paper), light);
        assert_eq!(shown.faults(PALE), [""; 0], "dark");
    });
}

#[test]
fn without_script_everything_is_there_and_nothing_pretends_to_work() {
    on_the_page(|shown| {
        let all = "[document.querySelectorAll('g.mark').length, document.querySelectorAll('tr').length]";
        let with = shown.ask(all);
        shown.browser.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
        shown.at("");
        assert_eq!(shown.ask(all), with);
        assert_eq!(shown.ask("document.querySelectorAll('thead button').length"), 0);
        assert_eq!(shown.ask("document.getElementById('switches').getClientRects().length"), 0);
        assert!(
            shown.ask("document.querySelector('g.mark title').textContent.length").as_u64().unwrap() > 10
        );
        shown.browser.call("Emulation.setScriptExecutionDisabled", json!({ "value": false }));
    });
}

#[test]
fn nothing_is_cut_on_paper() {
    on_the_page(|shown| {
        // A4 within margins of 10 mm.
        const WIDTH: u32 = 718;
        shown.browser.emulate(WIDTH, "light");
        shown.browser.call("Emulation.setEmulatedMedia", json!({ "media": "print" }));
        let cut = format!(
            "Array.from(document.querySelectorAll('table, svg, p')).filter(of => of.getBoundingClientRect().right > {WIDTH} + 1).map(of => of.outerHTML.slice(0, 60) + of.getBoundingClientRect().right)"
        );
        assert_eq!(shown.faults(&cut), [""; 0]);
        assert_eq!(shown.ask("document.getElementById('switches').getClientRects().length"), 0);
        shown.browser.call("Emulation.setEmulatedMedia", json!({ "media": "" }));
    });
}
