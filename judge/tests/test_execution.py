"""Execution accuracy as a user meets it: a DDL, two queries, a verdict. Real worker processes, real SQLite."""

from __future__ import annotations

import os
import signal
import time
import warnings
from dataclasses import asdict

import pytest
from judge.execution import OUTCOMES, execution_verdict, execution_verdicts, run_gold, run_golds, workers

from judge import execution

GAME = """
-- 길드; 한 줄 주석
CREATE TABLE `guilds` (
  `guild_id` INT UNSIGNED NOT NULL AUTO_INCREMENT COMMENT '길드 번호; 기본 키',
  `guild_name` VARCHAR(30) NOT NULL UNIQUE,
  `realm` ENUM('불', '물', '숲') DEFAULT '불',
  `founded_on` DATE,
  PRIMARY KEY (`guild_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE players (
  player_id INT PRIMARY KEY AUTO_INCREMENT,
  username VARCHAR(20) NOT NULL,
  email VARCHAR(50),
  level INT NOT NULL DEFAULT 1,
  gold INT,
  rating DECIMAL(4,2),
  is_active BOOLEAN NOT NULL,
  joined_on DATE,
  last_login DATETIME,
  guild_id INT,
  FOREIGN KEY (guild_id) REFERENCES guilds(guild_id) ON DELETE SET NULL
);
CREATE TABLE items (item_id INT PRIMARY KEY, item_name VARCHAR(20) NOT NULL, price INT NOT NULL, kind VARCHAR(10) /* 종류 */);
CREATE TABLE inventory (
  player_id INT NOT NULL REFERENCES players(player_id),
  item_id INT NOT NULL,
  quantity INT NOT NULL,
  PRIMARY KEY (player_id, item_id),
  FOREIGN KEY (item_id) REFERENCES items(item_id)
);
"""

JOIN = "players JOIN guilds ON players.guild_id = guilds.guild_id"
OWNED = (
    "players JOIN inventory ON players.player_id = inventory.player_id JOIN items ON inventory.item_id = items.item_id"
)

EQUAL = [
    ("SELECT username FROM players WHERE joined_on LIKE '2024-02-%'", "SELECT username FROM players WHERE YEAR(joined_on) = 2024 AND MONTH(joined_on) = 2"),
    ("SELECT username FROM players WHERE level > 10", "SELECT p.username FROM players AS p WHERE 10 < p.level"),
    ("SELECT username FROM players WHERE level > 10", "SELECT username FROM players WHERE NOT level <= 10"),
    ("SELECT username FROM players WHERE level > 10", "SELECT username FROM players WHERE level >= 11"),
    ("SELECT username, level FROM players", "SELECT level, username FROM players"),
    ("SELECT COUNT(*) FROM players", "SELECT COUNT(player_id) AS n FROM players"),
    ("SELECT COUNT(*) FROM players WHERE is_active = 1", "SELECT COUNT(*) FROM players WHERE is_active = TRUE"),
    ("SELECT COUNT(*) FROM players WHERE is_active = TRUE", "SELECT SUM(1) FROM players WHERE is_active HAVING COUNT(*) > 0 UNION ALL "
     "SELECT 0 FROM (SELECT 1) AS one WHERE NOT EXISTS (SELECT 1 FROM players WHERE is_active)"),
    ("SELECT DISTINCT level FROM players", "SELECT level FROM players GROUP BY level"),
    ("SELECT MAX(level) FROM players WHERE level > 0", "SELECT level FROM players WHERE level > 0 UNION SELECT NULL ORDER BY 1 DESC LIMIT 1"),
    ("SELECT username FROM players WHERE level BETWEEN 5 AND 9", "SELECT username FROM players WHERE level IN (5, 6, 7, 8, 9)"),
    ("SELECT username FROM players WHERE YEAR(joined_on) = 2024", "SELECT username FROM players WHERE joined_on BETWEEN '2024-01-01' AND '2024-12-31'"),
    ("SELECT username FROM players WHERE YEAR(joined_on) = 2024 AND MONTH(joined_on) = 2",
     "SELECT username FROM players WHERE DATE_FORMAT(joined_on, '%Y-%m') = '2024-02'"),
    ("SELECT username FROM players WHERE joined_on >= '2024-03-01'", "SELECT username FROM players WHERE joined_on > DATE_SUB('2024-03-01', INTERVAL 1 DAY)"),
    ("SELECT username FROM players WHERE joined_on >= '2024-03-01'", "SELECT username FROM players WHERE joined_on >= '2024-3-1'"),
    ("SELECT username FROM players WHERE DATE(last_login) = '2024-05-05'",
     "SELECT username FROM players WHERE last_login >= '2024-05-05' AND last_login < '2024-05-06'"),
    ("SELECT IFNULL(gold, 0) FROM players", "SELECT CASE WHEN gold IS NULL THEN 0 ELSE gold END FROM players"),
    ("SELECT IF(level > 10, 'high', 'low') FROM players", "SELECT CASE WHEN level <= 10 THEN 'low' ELSE 'high' END FROM players"),
    ("SELECT username FROM players ORDER BY level DESC LIMIT 3", "SELECT username FROM players ORDER BY level DESC, player_id LIMIT 0, 3"),
    ("SELECT username, level FROM players ORDER BY level", "SELECT username, level FROM players ORDER BY level, username DESC"),
    ("SELECT username FROM players LIMIT 2", "SELECT username FROM players ORDER BY gold LIMIT 2"),
    ("SELECT guild_id, COUNT(*) FROM players GROUP BY guild_id ORDER BY COUNT(*) DESC", "SELECT COUNT(*) AS c, guild_id FROM players GROUP BY guild_id ORDER BY c DESC"),
    (f"SELECT players.username FROM {JOIN} WHERE guilds.realm = '불'",
     "SELECT username FROM players WHERE guild_id IN (SELECT guild_id FROM guilds WHERE realm = '불')"),
    (f"SELECT players.username FROM {JOIN}", "SELECT players.username FROM guilds, players WHERE guilds.guild_id = players.guild_id"),
    (f"SELECT players.username FROM {JOIN}", "SELECT username FROM players WHERE guild_id IS NOT NULL"),
    ("SELECT guild_name FROM guilds WHERE guild_id NOT IN (SELECT guild_id FROM players WHERE guild_id IS NOT NULL)",
     "SELECT guilds.guild_name FROM guilds LEFT JOIN players ON guilds.guild_id = players.guild_id WHERE players.player_id IS NULL"),
    ("SELECT guild_name FROM guilds WHERE EXISTS (SELECT 1 FROM players WHERE players.guild_id = guilds.guild_id)",
     "SELECT DISTINCT guilds.guild_name FROM guilds JOIN players ON players.guild_id = guilds.guild_id"),
    ("SELECT guilds.guild_name, COUNT(*) FROM " + JOIN + " GROUP BY guilds.guild_name",
     "SELECT guilds.guild_name, COUNT(players.player_id) FROM " + JOIN + " GROUP BY guilds.guild_id, guilds.guild_name"),
    (f"SELECT players.username FROM {OWNED} WHERE items.kind = '무기' AND inventory.quantity > 3",
     "SELECT T1.username FROM players T1 INNER JOIN inventory T2 USING (player_id) INNER JOIN items T3 USING (item_id) WHERE T3.kind = \"무기\" AND 3 < T2.quantity"),
    ("SELECT username FROM players WHERE level > (SELECT AVG(level) FROM players)",
     "SELECT p.username FROM players p, (SELECT SUM(level) / COUNT(level) AS a FROM players) t WHERE p.level > t.a"),
    ("SELECT SUM(gold) / COUNT(gold) FROM players", "SELECT AVG(gold) FROM players"),
    ("SELECT username FROM players WHERE email LIKE '%naver%'", "SELECT username FROM players WHERE INSTR(email, 'naver') > 0"),
    ("SELECT username FROM players WHERE username LIKE 'kim%'", "SELECT username FROM players WHERE LOWER(LEFT(username, 3)) = 'kim'"),
    ("SELECT level FROM players WHERE level > 10 UNION SELECT level FROM players WHERE level < 3", "SELECT DISTINCT level FROM players WHERE level > 10 OR level < 3"),
    ("SELECT username FROM players WHERE guild_id = 3 INTERSECT SELECT username FROM players WHERE level > 5",
     "SELECT DISTINCT username FROM players WHERE guild_id = 3 AND username IN (SELECT username FROM players WHERE level > 5)"),
    ("SELECT username FROM players WHERE level >= ALL (SELECT level FROM players)", "SELECT username FROM players WHERE level = (SELECT MAX(level) FROM players)"),
    ("SELECT CONCAT(username, '-', level) FROM players", "SELECT CONCAT_WS('-', username, level) FROM players"),
    ("SELECT realm, GROUP_CONCAT(guild_name) FROM guilds GROUP BY realm", "SELECT realm, GROUP_CONCAT(guild_name ORDER BY guild_name SEPARATOR ',') FROM guilds GROUP BY realm"),
    ("SELECT ROUND(AVG(rating), 1) FROM players", "SELECT ROUND(SUM(rating) / COUNT(rating), 1) FROM players"),
    ("SELECT guild_id FROM players GROUP BY guild_id HAVING COUNT(*) >= 3", "SELECT guild_id FROM players GROUP BY guild_id HAVING COUNT(*) > 2"),
    ("SELECT * FROM items WHERE price = (SELECT MIN(price) FROM items)", "SELECT item_id, item_name, price, kind FROM items WHERE price <= ALL (SELECT price FROM items)"),
    ("SELECT 1.0 * level FROM players", "SELECT level FROM players"),
    ("SELECT DATEDIFF(last_login, joined_on) FROM players", "SELECT TIMESTAMPDIFF(DAY, joined_on, DATE(last_login)) FROM players"),
]  # fmt: skip

UNEQUAL = [
    ("SELECT username FROM players WHERE DAY(joined_on) = 31", "SELECT username FROM players WHERE DAY(joined_on) >= 30"),
    ("SELECT username FROM players WHERE joined_on LIKE '2024-02%'", "SELECT username FROM players WHERE joined_on LIKE '2024%'"),
    ("SELECT username FROM players WHERE HOUR(last_login) < 6", "SELECT username FROM players WHERE HOUR(last_login) <= 6"),
    ("SELECT username FROM players WHERE level > 10", "SELECT username FROM players WHERE level >= 10"),
    ("SELECT username FROM players WHERE level < 10", "SELECT username FROM players WHERE level <= 10"),
    ("SELECT username FROM players WHERE level > 10", "SELECT username FROM players WHERE level > 11"),
    ("SELECT username FROM players WHERE level = 10", "SELECT username FROM players WHERE level = '100'"),
    ("SELECT username FROM players WHERE level > 10 AND is_active = 1", "SELECT username FROM players WHERE level > 10"),
    ("SELECT username FROM players WHERE level > 10 AND is_active = 1", "SELECT username FROM players WHERE level > 10 OR is_active = 1"),
    ("SELECT username FROM players WHERE level > 10 OR is_active = 1 AND gold = 0", "SELECT username FROM players WHERE (level > 10 OR is_active = 1) AND gold = 0"),
    ("SELECT username FROM players WHERE level BETWEEN 5 AND 9", "SELECT username FROM players WHERE level > 5 AND level < 9"),
    ("SELECT DISTINCT level FROM players", "SELECT level FROM players"),
    ("SELECT COUNT(DISTINCT level) FROM players", "SELECT COUNT(level) FROM players"),
    ("SELECT COUNT(*) FROM players", "SELECT COUNT(gold) FROM players"),
    ("SELECT COUNT(*) FROM players", "SELECT COUNT(DISTINCT username) FROM players"),
    ("SELECT MAX(level) FROM players", "SELECT MIN(level) FROM players"),
    ("SELECT AVG(gold) FROM players", "SELECT SUM(gold) / COUNT(*) FROM players"),
    ("SELECT SUM(gold) / COUNT(gold) FROM players", "SELECT SUM(gold) DIV COUNT(gold) FROM players"),
    ("SELECT level / 2 FROM players", "SELECT FLOOR(level / 2) FROM players"),
    ("SELECT username FROM players ORDER BY level", "SELECT username FROM players ORDER BY level DESC"),
    ("SELECT username FROM players ORDER BY level DESC", "SELECT username FROM players"),
    ("SELECT username FROM players ORDER BY level DESC LIMIT 1", "SELECT username FROM players ORDER BY gold DESC LIMIT 1"),
    ("SELECT username FROM players ORDER BY level DESC LIMIT 3", "SELECT username FROM players ORDER BY level DESC LIMIT 4"),
    ("SELECT username FROM players ORDER BY level DESC LIMIT 1, 2", "SELECT username FROM players ORDER BY level DESC LIMIT 2"),
    ("SELECT username FROM players ORDER BY player_id", "SELECT username FROM players"),
    ("SELECT username FROM players WHERE level = (SELECT MAX(level) FROM players)", "SELECT username FROM players ORDER BY level DESC LIMIT 1"),
    ("SELECT username FROM players", "SELECT username, level FROM players"),
    ("SELECT username, level FROM players", "SELECT username FROM players"),
    ("SELECT username FROM players", "SELECT email FROM players"),
    (f"SELECT players.username FROM {JOIN}", "SELECT players.username FROM players LEFT JOIN guilds ON players.guild_id = guilds.guild_id"),
    (f"SELECT guilds.guild_name FROM {JOIN}", f"SELECT DISTINCT guilds.guild_name FROM {JOIN}"),
    (f"SELECT players.username FROM {JOIN} WHERE guilds.realm = '불'", f"SELECT players.username FROM {JOIN} WHERE guilds.realm = '물'"),
    (f"SELECT players.username FROM {JOIN} WHERE guilds.realm = '불'", "SELECT players.username FROM players, guilds WHERE guilds.realm = '불'"),
    ("SELECT guild_name FROM guilds WHERE guild_id NOT IN (SELECT guild_id FROM players WHERE guild_id IS NOT NULL)",
     "SELECT guild_name FROM guilds WHERE guild_id NOT IN (SELECT guild_id FROM players)"),
    ("SELECT guilds.guild_name, COUNT(*) FROM guilds LEFT JOIN players ON guilds.guild_id = players.guild_id GROUP BY guilds.guild_name",
     "SELECT guilds.guild_name, COUNT(players.player_id) FROM guilds LEFT JOIN players ON guilds.guild_id = players.guild_id GROUP BY guilds.guild_name"),
    ("SELECT guild_id FROM players GROUP BY guild_id HAVING COUNT(*) > 3", "SELECT guild_id FROM players GROUP BY guild_id HAVING COUNT(*) >= 3"),
    ("SELECT guild_id FROM players GROUP BY guild_id HAVING AVG(level) > 20", "SELECT guild_id FROM players WHERE level > 20 GROUP BY guild_id"),
    ("SELECT username FROM players WHERE YEAR(joined_on) = 2024", "SELECT username FROM players WHERE joined_on > '2024-01-01' AND joined_on <= '2024-12-31'"),
    ("SELECT username FROM players WHERE YEAR(joined_on) = 2024 AND MONTH(joined_on) = 2", "SELECT username FROM players WHERE MONTH(joined_on) = 2"),
    ("SELECT username FROM players WHERE joined_on >= '2024-03-01'", "SELECT username FROM players WHERE joined_on > '2024-03-01'"),
    ("SELECT username FROM players WHERE DATE(last_login) <= '2024-05-05'", "SELECT username FROM players WHERE last_login <= '2024-05-05'"),
    ("SELECT username FROM players WHERE email LIKE '%naver%'", "SELECT username FROM players WHERE email LIKE 'naver%'"),
    ("SELECT username FROM players WHERE email LIKE '%naver%'", "SELECT username FROM players WHERE email LIKE '%naver'"),
    ("SELECT username FROM players WHERE username = 'Kim'", "SELECT username FROM players WHERE username = 'kim'"),
    ("SELECT username FROM players WHERE username = '김민수'", "SELECT username FROM players WHERE username LIKE '김민수%'"),
    ("SELECT username FROM players WHERE gold IS NULL", "SELECT username FROM players WHERE gold = 0"),
    ("SELECT username FROM players WHERE gold <> 5", "SELECT username FROM players WHERE gold <> 5 OR gold IS NULL"),
    ("SELECT level FROM players UNION SELECT gold FROM players", "SELECT level FROM players UNION ALL SELECT gold FROM players"),
    ("SELECT level FROM players WHERE is_active = 1 INTERSECT SELECT level FROM players WHERE gold > 3", "SELECT level FROM players WHERE is_active = 1 AND gold > 3"),
    ("SELECT username FROM players WHERE level > (SELECT AVG(level) FROM players)", "SELECT username FROM players WHERE level >= (SELECT AVG(level) FROM players)"),
    ("SELECT level FROM players", "SELECT CAST(level AS CHAR) FROM players"),
    (f"SELECT players.username FROM {OWNED} WHERE items.kind = '무기'", f"SELECT DISTINCT players.username FROM {OWNED} WHERE items.kind = '무기'"),
    (f"SELECT players.username, SUM(inventory.quantity) FROM {OWNED} GROUP BY players.username", f"SELECT players.username, COUNT(inventory.quantity) FROM {OWNED} GROUP BY players.username"),
    ("SELECT username FROM players WHERE player_id IN (SELECT player_id FROM inventory WHERE quantity > 2)",
     "SELECT players.username FROM players JOIN inventory ON players.player_id = inventory.player_id WHERE inventory.quantity > 2"),
    ("SELECT username FROM players WHERE player_id NOT IN (SELECT player_id FROM inventory)", "SELECT username FROM players WHERE player_id IN (SELECT player_id FROM inventory)"),
    ("SELECT username FROM players WHERE gold % 2 = 0", "SELECT username FROM players WHERE gold % 2 = 1"),
    ("SELECT realm, COUNT(*) FROM guilds GROUP BY realm ORDER BY COUNT(*) DESC LIMIT 1", "SELECT realm, COUNT(*) FROM guilds GROUP BY realm ORDER BY realm LIMIT 1"),
]  # fmt: skip


@pytest.fixture(scope="module")
def game_verdicts():
    """All pairs in one go: {(gold, prediction): verdict}."""
    pairs = list(dict.fromkeys(EQUAL + UNEQUAL + [(gold, gold) for gold, _ in EQUAL + UNEQUAL]))
    rows = [
        {"id": n, "context": GAME, "answer": gold, "gen_sql": prediction} for n, (gold, prediction) in enumerate(pairs)
    ]
    return dict(zip(pairs, execution_verdicts(rows, mutants=False), strict=False))


@pytest.mark.parametrize("pair", EQUAL, ids=lambda pair: pair[1][:60])
def test_queries_that_mean_the_same_are_equal(game_verdicts, pair):
    verdict = game_verdicts[pair]
    assert (verdict["execution"], verdict["outcome"]) == ("yes", "equal"), verdict
    assert verdict["gold_non_empty"] >= 5


@pytest.mark.parametrize("pair", UNEQUAL, ids=lambda pair: pair[1][:60])
def test_queries_that_differ_subtly_are_told_apart(game_verdicts, pair):
    verdict = game_verdicts[pair]
    assert verdict["execution"] == "no", verdict
    assert verdict["outcome"] in ("different_result", "different_order", "different_columns")
    assert "gold" in verdict["counter_example"] and "prediction" in verdict["counter_example"]


def test_gold_against_gold_is_always_yes(game_verdicts):
    golds = {gold for gold, _ in EQUAL + UNEQUAL}
    assert [gold for gold in golds if game_verdicts[gold, gold]["execution"] != "yes"] == []


def test_predictions_shuffled_among_rows_are_nearly_never_right():
    golds = list(dict.fromkeys(gold for gold, _ in UNEQUAL))
    rows = [{"id": n, "context": GAME, "answer": gold, "gen_sql": golds[n - 7]} for n, gold in enumerate(golds)]
    right = [
        row["answer"]
        for row, verdict in zip(rows, execution_verdicts(rows, mutants=False), strict=False)
        if verdict["execution"] == "yes"
    ]
    assert len(right) <= 1, right


@pytest.mark.parametrize("seed", [1, 2])
def test_another_seed_tells_the_hardest_pairs_apart_too(seed):
    hardest = [UNEQUAL[i] for i in (0, 2, 3, 4, 7, 11, 17, 21, 25, 35, 39)]
    rows = [{"id": n, "context": GAME, "answer": gold, "gen_sql": other} for n, (gold, other) in enumerate(hardest)]
    assert {verdict["execution"] for verdict in execution_verdicts(rows, seed=seed, mutants=False)} == {"no"}


SMALL = "CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(10) NOT NULL, n INT NOT NULL, d DATE);"


@pytest.mark.parametrize(
    ("prediction", "outcome"),
    [
        (None, "missing_prediction"),
        ("  ", "missing_prediction"),
        ("I am sorry, I cannot help with that.", "no_sql"),
        ("SELECT nosuch FROM t", "sql_error"),
        ("SELECT name FROM nosuch", "sql_error"),
        ("SELECT name FROM t WHERE", "sql_error"),
        ("SELECT name FROM t ORDER BY RAND()", "sql_error"),
        ("SELECT rowid FROM t", "sql_error"),
        ("SELECT `nosuch` FROM t", "sql_error"),
        ("SELECT name, EXTRACT(MICROSECOND FROM d) FROM t", "transpile_error"),
        ("SELECT name FROM t WHERE d > d + INTERVAL '1-2' YEAR_MONTH", "transpile_error"),
        ("SELECT name, n FROM t", "different_columns"),
        ("SELECT n FROM t", "different_result"),
        ("```sql\nSELECT name FROM t;\n```", "equal"),
        ("The query is:\nSELECT name FROM t; DROP TABLE t;", "equal"),
    ],
)
def test_every_outcome_has_its_name(prediction, outcome):
    verdict = execution_verdict(SMALL, "SELECT name FROM t", prediction, instances=6)
    assert verdict.outcome == outcome, verdict
    assert outcome in OUTCOMES[verdict.execution]
    assert verdict.reason


@pytest.mark.parametrize(
    ("context", "gold"),
    [
        (SMALL, "SELECT nosuch FROM t"),
        (SMALL, "SELECT name FROM"),
        (SMALL, "DELETE FROM t"),
        (SMALL, "SELECT name FROM other"),
        (SMALL, "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT COUNT(*) FROM r"),
        ("no tables here", "SELECT name FROM t"),
        ("", "SELECT 1"),
    ],
)
@pytest.mark.parametrize("prediction", ["SELECT name FROM t", "no SQL at all"])
def test_a_gold_that_fails_leaves_the_row_out_whatever_the_prediction(context, gold, prediction):
    verdict = execution_verdict(context, gold, prediction, instances=3)
    assert (verdict.execution, verdict.outcome) == ("unscored", "gold_error")
    assert verdict.reason.startswith("gold: ")


def test_a_gold_that_never_finds_anything_proves_nothing_and_says_so():
    verdict = execution_verdict(
        SMALL, "SELECT name FROM t WHERE n > 5 AND n < 3", "SELECT name FROM t WHERE 1 = 0", instances=4
    )
    assert (verdict.execution, verdict.outcome, verdict.gold_non_empty) == ("unscored", "gold_always_empty", 0)


def test_a_cut_through_a_tie_is_flagged_and_any_valid_cut_is_right():
    gold = "SELECT name FROM t ORDER BY n DESC LIMIT 2"
    for prediction in (
        gold,
        "SELECT name FROM t ORDER BY n DESC, id LIMIT 2",
        "SELECT name FROM t ORDER BY n DESC, id DESC LIMIT 2",
    ):
        verdict = execution_verdict(SMALL, gold, prediction)
        assert (verdict.execution, verdict.tie_at_limit) == ("yes", True), verdict
    assert execution_verdict(SMALL, gold, "SELECT name FROM t ORDER BY n LIMIT 2").execution == "no"
    assert not execution_verdict(
        SMALL, "SELECT name FROM t ORDER BY id LIMIT 2", "SELECT name FROM t ORDER BY id LIMIT 2"
    ).tie_at_limit


def test_a_prediction_with_more_columns_is_wrong_but_noted_as_containing_gold():
    verdict = execution_verdict(SMALL, "SELECT name FROM t WHERE n > 3", "SELECT id, name FROM t WHERE n > 3")
    assert (verdict.execution, verdict.contains_gold) == ("no", True)
    assert not execution_verdict(
        SMALL, "SELECT name FROM t WHERE n > 3", "SELECT id, n FROM t WHERE n > 3"
    ).contains_gold


def test_birds_set_rule_stands_beside_and_is_laxer_on_duplicates():
    gold = "SELECT n FROM t WHERE n > 3"
    assert execution_verdict(SMALL, gold, gold).set_equal
    looser = execution_verdict(SMALL, gold, "SELECT DISTINCT n FROM t WHERE n > 3")
    assert (looser.execution, looser.set_equal) == ("no", True)
    turned = execution_verdict(SMALL, "SELECT id, name FROM t", "SELECT name, id FROM t")
    assert (turned.execution, turned.set_equal) == ("yes", False)


@pytest.mark.parametrize(
    ("dialect", "gold", "prediction"),
    [
        (
            "sqlite",
            "SELECT \"name\" FROM t WHERE n / 2 = 3 AND strftime('%Y', d) = '2024'",
            "SELECT name FROM t WHERE n IN (6, 7) AND d LIKE '2024-%'",
        ),
        ("sqlite", "SELECT name || '-' || n FROM t", "SELECT name || '-' || CAST(n AS TEXT) FROM t"),
        (
            "postgres",
            "SELECT name FROM t WHERE EXTRACT(YEAR FROM d) = 2024",
            "SELECT name FROM t WHERE d >= '2024-01-01' AND d < '2025-01-01'",
        ),
    ],
)
def test_other_dialects_are_read_as_they_mean(dialect, gold, prediction):
    verdict = execution_verdict(SMALL, gold, prediction, dialect=dialect)
    assert verdict.execution == "yes", verdict
    assert verdict.gold_non_empty >= 10


def test_a_table_without_any_key_still_has_its_own_id_as_one():
    ddl = "CREATE TABLE singers (singer_id INT, name TEXT); CREATE TABLE songs (singer_id INT, title TEXT);"
    gold = "SELECT singers.name, COUNT(*) FROM singers JOIN songs ON singers.singer_id = songs.singer_id GROUP BY singers.singer_id"
    same = "SELECT T1.name, COUNT(*) FROM songs T2 JOIN singers T1 ON T1.singer_id = T2.singer_id GROUP BY T1.singer_id, T1.name"
    assert execution_verdict(ddl, gold, same).execution == "yes"


@pytest.mark.parametrize(
    "ddl",
    [
        "CREATE TABLE t (id, name, n, d)",
        'CREATE TABLE "t" ("id" INTEGER PRIMARY KEY, "name" TEXT, "n" INTEGER, "d" TEXT)',
        "CREATE TABLE t (id INT, name TEXT, n INT, d DATE, FOREIGN KEY (n) REFERENCES absent(id)) -- no semicolon\nCREATE TABLE u (x INT)",
        "CREATE TABLE IF NOT EXISTS shop.t (id BIGINT UNSIGNED AUTO_INCREMENT, name VARCHAR(3) NOT NULL COMMENT 'a; b', n SMALLINT DEFAULT '0', "
        "d DATETIME DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, PRIMARY KEY (id), KEY k (name), UNIQUE KEY u (name, n)) ENGINE=InnoDB;",
        "CREATE TABLE t (id INT PRIMARY KEY, name CHAR(1), n INT, d DATE, boss INT, FOREIGN KEY (boss) REFERENCES t(id));",
        "CREATE TABLE a (id INT PRIMARY KEY, b_id INT NOT NULL, FOREIGN KEY (b_id) REFERENCES b(id));"
        "CREATE TABLE b (id INT PRIMARY KEY, a_id INT, FOREIGN KEY (a_id) REFERENCES a(id));"
        "CREATE TABLE t (id INT PRIMARY KEY REFERENCES a(id), name TEXT, n INT, d DATE);",
        "CREATE TABLE t (id INT PRIMARY KEY, name TEXT, n INT CHECK (n > 0), d GEOMETRY @@ odd, x VARCHAR(5));",
    ],
)
@pytest.mark.parametrize(
    "query",
    ["SELECT name FROM t WHERE n >= 3", "SELECT name, COUNT(*) FROM t GROUP BY name ORDER BY COUNT(*) DESC LIMIT 1"],
)
def test_all_kinds_of_ddl_give_instances(ddl, query):
    verdict = execution_verdict(ddl, query, query)
    assert verdict.execution == "yes", verdict
    assert verdict.gold_non_empty > 10


def rows_of(pairs):
    return [
        {"id": f"r{n}", "context": GAME, "answer": gold, "gen_sql": prediction}
        for n, (gold, prediction) in enumerate(pairs)
    ]


def test_verdicts_are_the_same_with_any_number_of_workers_and_keep_the_order():
    rows = rows_of(EQUAL[:6] + UNEQUAL[:6])
    one, three = (
        execution_verdicts(rows, workers=1, instances=8),
        execution_verdicts(rows[::-1], workers=3, instances=8),
    )
    assert one == three[::-1]
    assert [row["id"] for row in one] == [row["id"] for row in rows]
    single = execution_verdict(GAME, *UNEQUAL[0], instances=8)
    assert {"id": "r6", **vars(single)} == one[6]


def test_names_of_columns_are_the_callers():
    row = {"key": 7, "ddl": SMALL, "gold": "SELECT name FROM t", "guess": "SELECT name FROM t"}
    (verdict,) = execution_verdicts([row], gold="gold", prediction="guess", context="ddl", id="key", instances=3)
    assert (verdict["key"], verdict["execution"]) == (7, "yes")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "r0"}, "repeated id: 'r0'"),
        ({"id": None}, "row 2 has no 'id'"),
        ({"answer": None}, "'r1' has no 'answer'"),
        ({"context": None}, "'context'"),
    ],
)
def test_a_row_that_cannot_be_joined_or_judged_is_named(change, message):
    rows = rows_of(EQUAL[:2])
    rows[1] |= change
    with pytest.raises(ValueError, match=message):
        execution_verdicts(rows)


def test_a_killed_prediction_is_wrong_and_the_next_row_still_runs():
    hang = r"SELECT name FROM t WHERE REGEXP_LIKE('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!', '^(a+)+$')"
    rows = [
        {"id": 1, "context": SMALL, "answer": "SELECT name FROM t", "gen_sql": hang},
        {"id": 2, "context": SMALL, "answer": "SELECT name FROM t", "gen_sql": "SELECT name FROM t"},
    ]
    killed, fine = execution_verdicts(rows, workers=1, timeout=0.2, instances=3)
    assert (killed["execution"], killed["outcome"]) == ("no", "killed"), killed
    assert fine["execution"] == "yes"


def test_a_gold_that_hangs_is_golds_fault():
    gold = r"SELECT name FROM t WHERE REGEXP_LIKE('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!', '^(a+)+$')"
    assert execution_verdict(SMALL, gold, "SELECT name FROM t", timeout=0.2, instances=2).outcome == "gold_error"


def test_the_worker_sees_no_secret_of_the_parent(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-the-worker")
    worker = workers.Worker()
    try:
        worker.ask(
            {
                "task": "gold",
                "context": SMALL,
                "gold": "SELECT name FROM t",
                "instances": 1,
                "seed": 0,
                "dialect": "mysql",
                "timeout": 5,
            }
        )
        environment = f"/proc/{worker.process.pid}/environ"
        if os.path.exists(environment):
            with open(environment, "rb") as file:
                assert b"sk-not-for-the-worker" not in file.read()
        assert "OPENAI_API_KEY" not in workers._KEPT
    finally:
        worker.close()


def processes() -> list[int]:
    return [worker.process.pid for worker in workers._idle]


def test_another_call_is_judged_by_the_processes_that_there_are():
    row = {"context": SMALL, "answer": "SELECT name FROM t", "gen_sql": "SELECT n FROM t"}
    rows = [row | {"id": n} for n in range(3)]
    workers.close_idle()
    first = execution_verdicts(rows, instances=2)
    kept = processes()
    assert len(kept) == 1, "three rows are judged sooner than a second process is there"
    assert execution_verdicts(rows, instances=2) == first
    assert asdict(execution_verdict(*row.values(), instances=2)).items() <= first[0].items()
    assert processes() == kept
    os.kill(kept[0], signal.SIGKILL)
    workers._idle[0].process.wait()
    assert execution_verdicts(rows, instances=2) == first
    assert len(processes()) == 1 and processes() != kept
    workers.close_idle()
    assert processes() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_does_not_speak_through_its_parents_pipes():
    execution_verdict(SMALL, "SELECT name FROM t", "SELECT n FROM t", instances=1)
    assert processes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that other threads may be running
        child = os.fork()
    if child == 0:
        os._exit(len(processes()))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert execution_verdict(SMALL, "SELECT name FROM t", "SELECT name FROM t", instances=1).execution == "yes"


def test_run_gold_proves_a_data_row():
    good = run_gold(SMALL, "SELECT name FROM t WHERE n > 100 AND YEAR(d) = 2023")
    assert (good.error, good.instances) == (None, 20)
    assert good.non_empty >= 15
    assert len(good.sample[0]) == 1
    assert "no such column" in run_gold(SMALL, "SELECT nosuch FROM t").error
    assert run_gold(SMALL, "SELECT name FROM t WHERE n > 5 AND n < 3").non_empty == 0
    both = run_golds(
        [{"context": SMALL, "answer": "SELECT n FROM t"}, {"context": SMALL, "answer": "SELEC"}], instances=3
    )
    assert [run.error is None for run in both] == [True, False]


def test_mutants_of_gold_are_mostly_killed():
    gold = f"SELECT players.username FROM {JOIN} WHERE guilds.realm = '불' AND players.level > 10 ORDER BY players.level DESC LIMIT 3"
    verdict = execution_verdict(GAME, gold, gold)
    assert verdict.execution == "yes"
    assert verdict.mutants_killed >= 0.99
    assert execution_verdict(GAME, gold, gold, mutants=False).mutants_killed is None


def test_golds_that_lean_on_storage_order_are_not_held_against_a_prediction():
    # Which of the tied players the inner LIMIT takes is open: only instances on which it is settled are used.
    gold = "SELECT username FROM players WHERE player_id = (SELECT player_id FROM inventory ORDER BY quantity DESC LIMIT 1)"
    same = "SELECT players.username FROM players JOIN (SELECT player_id FROM inventory ORDER BY quantity DESC LIMIT 1) AS best ON players.player_id = best.player_id"
    verdict = execution_verdict(GAME, gold, same)
    assert verdict.execution == "yes"
    assert 0 < verdict.instances < 30  # twenty, and ten larger ones


def test_importing_it_is_quick_enough_for_a_command_line():
    import subprocess
    import sys

    code = (
        "import sys, judge.execution; print([m for m in ('sqlglot', 'torch', 'scipy', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_twenty_instances_take_well_under_a_second():
    execution_verdict(GAME, *EQUAL[0])
    start = time.monotonic()
    execution_verdict(GAME, *EQUAL[0])
    assert time.monotonic() - start < 2  # about 0.03 s on an idle core


def test_the_outcome_table_is_complete():
    assert sum(map(len, execution.OUTCOMES.values())) == len(
        {name for names in execution.OUTCOMES.values() for name in names}
    )
