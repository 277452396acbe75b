//! The law of `QueryUsers`: whatever the users, the filter, the order and the size of pages, the answer is the
//! one that `usher::model` gives without a database.
//!
//! [`run_cases`] makes the cases, [`check_case`] checks one.

use proptest::test_runner::{Config, TestCaseError, TestRunner};
use proptest::{prop_assert, prop_assert_eq};
use serde_json::Value as Json;
use usher::model::filter::{self, Filter};
use usher::model::query::{Cursor, IdBounds, Order, UserQuery, cursor_of, parse_sort};
use usher::model::user::User;
use usher::model::violation::Violations;

use super::query_cases::{Ask, Case, Sort, case};
use crate::harness::setting::setting;

/// One page.
#[derive(Debug, Clone, Default)]
pub(crate) struct Page {
    pub(crate) ids: Vec<String>,
    pub(crate) next_page_token: String,
}

/// How many questions to ask in all: `USHER_TEST_CASES`, or 2,000.
pub(crate) fn questions() -> u32 {
    setting("USHER_TEST_CASES").and_then(|text| text.parse().ok()).unwrap_or(2_000)
}

const ASKS: usize = 40;

/// Runs `check` on as many cases as it takes for `questions` and shrinks the first one that fails.
///
/// proptest is synchronous: call it off the runtime (`spawn_blocking`), with `check` blocking on a handle.
pub(crate) fn run_cases(questions: u32, check: impl Fn(&Case) -> Result<(), TestCaseError>) {
    let cases = questions.div_ceil(u32::try_from(ASKS).unwrap());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&case(ASKS), |case| check(&case));
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// Asks everything in `case` and compares with the reference; pages are walked to their end.
///
/// `stored` are the users of the app, all of them, as the server has them after the seeds were stored. `ask`
/// is one `QueryUsers` call.
pub(crate) async fn check_case<F, Fut>(case: &Case, stored: &[User], ask: F) -> Result<(), TestCaseError>
where
    F: Fn(Ask) -> Fut,
    Fut: Future<Output = Page>,
{
    for question in &case.asks {
        let mut question = question.clone();
        put_times(&mut question.filter, stored);
        let expected = expected(&question, stored)?;

        let mut found: Vec<String> = Vec::new();
        let mut next = question.clone();
        loop {
            let page = ask(next.clone()).await;
            prop_assert!(page.ids.len() <= usize::try_from(question.limit).unwrap(), "page too long");
            found.extend(page.ids);
            if page.next_page_token.is_empty() {
                break;
            }
            prop_assert!(found.len() <= stored.len(), "pages without end: {question:?}");
            (next.page_token, next.offset) = (page.next_page_token, 0);
        }
        prop_assert_eq!(found, expected, "{:?}", question);
    }
    Ok(())
}

/// The ids that answer `ask` over all its pages, by the reference.
fn expected(ask: &Ask, stored: &[User]) -> Result<Vec<String>, TestCaseError> {
    let mut bad = Violations::new();
    let filter = ask.filter.as_object().and_then(|filter| filter::parse(filter, &mut bad));
    let keys: Vec<_> = ask.sort.iter().map(Sort::key).collect();
    let [gt, gte, lt, lte] = [&ask.id_gt, &ask.id_gte, &ask.id_lt, &ask.id_lte].map(Clone::clone);
    let query = UserQuery {
        filter: filter.unwrap_or(Filter::ALL),
        sort: parse_sort(keys.into_iter(), &mut bad),
        ids: IdBounds::parse(gt, gte, lt, lte, &mut bad),
        limit: 30,
        offset: 0,
        after: None,
        include_deactivated: ask.include_deactivated,
        include_deleted: false,
    };
    prop_assert_eq!(bad.into_result(()), Ok(()), "only what is valid is asked: {:?}", ask.filter);

    let mut found: Vec<&User> = stored
        .iter()
        .filter(|user| user.deleted_at.is_none())
        .filter(|user| query.include_deactivated || user.deactivated_at.is_none())
        .filter(|user| query.ids.hold(user.id().as_str()))
        .filter(|user| filter::evaluate::matches(&query.filter, user))
        .collect();
    let order = query.order();
    found.sort_by(|left, right| order.compare(left, right));
    check_places(&found, &order)?;
    Ok(found.iter().skip(ask.offset.unsigned_abs() as usize).map(|user| user.id().to_string()).collect())
}

/// Each user comes after exactly those before it.
fn check_places(sorted: &[&User], order: &Order) -> Result<(), TestCaseError> {
    for (at, user) in sorted.iter().enumerate() {
        let cursor = cursor_of(user, order);
        prop_assert!(cursor.fits(order));
        let text = serde_json::to_string(&cursor).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Cursor>(&text).unwrap(), &cursor);
        let after = sorted.iter().filter(|other| order.is_after(other, &cursor)).count();
        prop_assert_eq!(after, sorted.len() - at - 1);
    }
    Ok(())
}

fn put_times(filter: &mut Json, stored: &[User]) {
    match filter {
        Json::Array(members) => members.iter_mut().for_each(|member| put_times(member, stored)),
        Json::Object(members) => members.values_mut().for_each(|member| put_times(member, stored)),
        Json::String(text) if text.starts_with("at:") => {
            let at = text.trim_start_matches("at:").parse::<usize>().unwrap();
            let user = &stored[at % stored.len()];
            let times = [Some(user.created_at), Some(user.updated_at), user.deactivated_at, user.last_active];
            *text = times[at % 4].unwrap_or(user.created_at).to_string();
        }
        _ => {}
    }
}
