"""Wrong versions of gold: which are made, which are known to be no different, and that instances tell them apart."""

from __future__ import annotations

import pytest
from judge.execution import execution_verdicts
from judge.execution.mutants import MOST, mutants
from judge.sql.queries import parse_query
from judge.sql.schema import parse_schema

DDL = """
CREATE TABLE guilds (guild_id INT PRIMARY KEY, guild_name VARCHAR(30) NOT NULL, server VARCHAR(20), founded_on DATE);
CREATE TABLE players (
  player_id INT PRIMARY KEY, nickname VARCHAR(30) NOT NULL, level INT NOT NULL, guild_id INT,
  FOREIGN KEY (guild_id) REFERENCES guilds(guild_id)
);
CREATE TABLE matches (
  match_id INT PRIMARY KEY, player_id INT NOT NULL, kills INT NOT NULL, mode VARCHAR(10) NOT NULL,
  FOREIGN KEY (player_id) REFERENCES players(player_id)
);
"""


def made(sql):
    return [text.replace("`", "") for text, _ in mutants(parse_query(sql), parse_schema(DDL))]


@pytest.mark.parametrize(
    ("gold", "mutant"),
    [
        ("SELECT nickname FROM players WHERE level > 10", "SELECT nickname FROM players WHERE level >= 10"),
        ("SELECT nickname FROM players WHERE level > 10", "SELECT nickname FROM players WHERE level > 11"),
        ("SELECT nickname FROM players WHERE level > 10", "SELECT nickname FROM players"),
        ("SELECT nickname FROM players WHERE level > 10", "SELECT DISTINCT nickname FROM players WHERE level > 10"),
        ("SELECT nickname FROM players WHERE level > 10", "SELECT nickname FROM players WHERE player_id > 10"),
        ("SELECT COUNT(*) FROM players", "SELECT COUNT(DISTINCT players.nickname) FROM players"),
        ("SELECT MAX(level) FROM players", "SELECT MIN(level) FROM players"),
        ("SELECT YEAR(founded_on) FROM guilds", "SELECT MY_MONTH(founded_on) FROM guilds"),
        ("SELECT * FROM guilds", "SELECT * FROM guilds LIMIT 1"),
        ("SELECT nickname FROM players ORDER BY level LIMIT 3", "SELECT nickname FROM players ORDER BY level DESC LIMIT 3"),
        ("SELECT nickname FROM players ORDER BY level LIMIT 3", "SELECT nickname FROM players ORDER BY level LIMIT 4"),
        (
            "SELECT g.guild_name FROM guilds AS g JOIN players AS p ON g.guild_id = p.guild_id",
            "SELECT g.guild_name FROM guilds AS g LEFT JOIN players AS p ON g.guild_id = p.guild_id",
        ),
        ("SELECT level FROM players UNION SELECT kills FROM matches", "SELECT level FROM players UNION ALL SELECT kills FROM matches"),
    ],
)  # fmt: skip
def test_one_change_at_a_time_is_made(gold, mutant):
    assert mutant in made(gold)


@pytest.mark.parametrize(
    ("gold", "never"),
    [
        # the same by a key
        ("SELECT player_id, nickname FROM players", "SELECT DISTINCT"),
        ("SELECT m.match_id FROM matches m JOIN players p ON m.player_id = p.player_id", "SELECT DISTINCT"),
        ("SELECT g.server, COUNT(p.player_id) FROM guilds g JOIN players p ON g.guild_id = p.guild_id GROUP BY g.server", "COUNT(DISTINCT p.player_id)"),
        # the same by a reference that is never NULL
        ("SELECT p.nickname, m.kills FROM matches m JOIN players p ON m.player_id = p.player_id", "LEFT JOIN"),
        # the same because one row comes anyway, or because what holds it drops duplicates or order
        ("SELECT nickname FROM players ORDER BY level LIMIT 1", "SELECT DISTINCT"),
        ("SELECT level FROM players EXCEPT SELECT kills FROM matches", "SELECT DISTINCT"),
        ("SELECT nickname FROM players WHERE EXISTS (SELECT 1 FROM matches WHERE matches.player_id = players.player_id)", "SELECT 2"),
        ("SELECT nickname FROM players WHERE player_id IN (SELECT player_id FROM matches ORDER BY kills)", "kills DESC"),
        # the same because the column is never NULL
        ("SELECT COUNT(player_id) FROM matches", "COUNT(match_id)"),
        ("SELECT nickname FROM players WHERE level IS NOT NULL AND guild_id = 3", "WHERE guild_id = 3"),
    ],
)  # fmt: skip
def test_what_could_never_differ_is_not_counted(gold, never):
    assert made(gold)
    assert [text for text in made(gold) if never in text] == []


def test_they_are_few_and_different_and_gold_is_none_of_them():
    gold = "SELECT nickname FROM players WHERE level > 1 AND level < 9 AND player_id IN (1, 2, 3, 4, 5, 6) OR guild_id = 7 ORDER BY level"
    texts = made(gold)
    assert len(texts) == len(set(texts)) == MOST
    assert gold not in texts


def test_the_instances_tell_nearly_all_from_gold():
    golds = [
        "SELECT p.nickname FROM players p JOIN guilds g ON p.guild_id = g.guild_id WHERE g.server = '아스가르드' AND p.level >= 50",
        "SELECT guild_name FROM guilds WHERE guild_id NOT IN (SELECT guild_id FROM players WHERE guild_id IS NOT NULL)",
        "SELECT server, COUNT(*) FROM guilds GROUP BY server HAVING COUNT(*) > 2 ORDER BY COUNT(*) DESC",
        "SELECT nickname FROM players WHERE level > (SELECT AVG(level) FROM players)",
        "SELECT YEAR(founded_on), COUNT(*) FROM guilds GROUP BY YEAR(founded_on)",
        "SELECT p.nickname, SUM(m.kills) FROM players p LEFT JOIN matches m ON p.player_id = m.player_id GROUP BY p.player_id, p.nickname ORDER BY SUM(m.kills) DESC LIMIT 3",
    ]
    verdicts = execution_verdicts([{"id": n, "context": DDL, "answer": g, "gen_sql": g} for n, g in enumerate(golds)])
    assert all(verdict["execution"] == "yes" and verdict["gold_non_empty"] for verdict in verdicts)
    shares = [verdict["mutants_killed"] for verdict in verdicts]
    assert sum(shares) / len(shares) >= 0.98, shares
