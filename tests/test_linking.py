"""The gloss of a question and the short form of a schema."""

from __future__ import annotations

import random
import time

import pytest

from recipes.ko_text2sql import words
from recipes.ko_text2sql.domains import ddl, load_domains
from recipes.ko_text2sql.linking import hint
from recipes.ko_text2sql.schema_text import compact_schema
from recipes.ko_text2sql.words import korean_number

GUILDS = """
CREATE TABLE players (player_id INT PRIMARY KEY AUTO_INCREMENT, username VARCHAR(255) UNIQUE NOT NULL, level INT,
  joined_on DATE, guild_id INT, FOREIGN KEY (guild_id) REFERENCES guilds(guild_id));
CREATE TABLE guilds (guild_id INT PRIMARY KEY, name VARCHAR(30));
"""
SHOP = """
CREATE TABLE customers (customer_id INT PRIMARY KEY, name VARCHAR(50), gender VARCHAR(9), age INT, city VARCHAR(20),
  grade VARCHAR(9), joined_on DATE);
CREATE TABLE orders (order_id INT PRIMARY KEY, customer_id INT REFERENCES customers(customer_id), total_amount INT,
  status VARCHAR(20), ordered_at DATETIME);
CREATE TABLE products (product_id INT, name VARCHAR(50), unit_price INT, stock INT);
"""


BRANDS = "CREATE TABLE brands (brand_id INT PRIMARY KEY, name VARCHAR(50), founded_year INT);"


@pytest.mark.parametrize(
    ("schema", "question", "expected"),
    [
        (GUILDS, "레벨이 30 이상인 플레이어 이름 알려줘", "level 30 >= players username"),
        (GUILDS, "길드별 평균 레벨", "guilds per AVG level"),
        (GUILDS, "길드가 없는 플레이어", "guilds no null players"),
        (GUILDS, "레벨 높은 순으로 상위 5명", "level order DESC top 5"),
        (GUILDS, "'드래곤'으로 시작하는 길드 이름", "'드래곤' starts guilds name"),
        (SHOP, "총 금액이 백만 원 넘는 주문 번호", "total_amount 1000000 > orders order_id"),
        (SHOP, "한 번도 주문하지 않은 손님", "orders never customers"),
        (SHOP, "도시별 고객 수를 많은 순으로", "city per customers COUNT order DESC"),
        (SHOP, "가장 어린 회원", "most low age customers"),
        (SHOP, "평균보다 비싼 상품", "AVG > unit_price products"),
        (SHOP, "주문 5건 이상인 고객", "orders COUNT 5 >= customers"),
        (SHOP, "주문 금액이 3만 원 이상인 고객", "orders total_amount 30000 >= customers"),
        (BRANDS, "2010년 이후 생긴 브랜드", "founded_year 2010 after brands"),
        (BRANDS, "2010년부터 2015년 사이에 설립된 브랜드", "founded_year 2010 2015 between brands"),
        (GUILDS, "2024년에 가입한 플레이어", "year 2024 joined_on players"),  # a date
    ],
)
def test_a_question_is_glossed_in_the_words_of_its_schema(schema: str, question: str, expected: str) -> None:
    assert hint(question, schema) == expected


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("상태가 배송 완료인 주문", "status 배송 완료 orders"),
        ("서른 살 이상인 VIP 고객 이름 좀 보여주세요", "age 30 >= grade VIP customers name"),
        ("이서연의 나이는?", "이서연 age"),
        ("제주도 고객 이름과 나이", "city 제주도 customers name age"),
    ],
)
def test_values_stay_korean_and_name_their_column_where_they_can(question: str, expected: str) -> None:
    assert hint(question, SHOP) == expected


@pytest.mark.parametrize(
    "particle", ["을", "은", "의", "만", "에서", "까지는", "으로", "과", "도", "이고", "들의", " "]
)
def test_particles_after_a_known_word_vanish(particle: str) -> None:
    assert hint(f"레벨{particle} 이름", GUILDS) == "level name"


@pytest.mark.parametrize(
    ("name", "particle"), [("이서연", "의"), ("김민수", "가"), ("한가람", "이"), ("제주항공사", "에서"), ("최도", "는")]
)
def test_a_particle_leaves_a_name_it_fits_and_the_name_stays_whole(name: str, particle: str) -> None:
    assert name in hint(f"{name}{particle} 레벨", GUILDS).split()


BANK = """
CREATE TABLE customers (customer_id INT PRIMARY KEY, customer_name VARCHAR(20), city VARCHAR(20), grade VARCHAR(9));
CREATE TABLE offices (office_id INT PRIMARY KEY, office_name VARCHAR(20), region VARCHAR(20), opened_on DATE);
CREATE TABLE accounts (account_id INT PRIMARY KEY, customer_id INT REFERENCES customers(customer_id),
  office_id INT REFERENCES offices(office_id), account_type VARCHAR(9), balance INT, ended_on DATE);
CREATE TABLE transactions (transaction_id INT PRIMARY KEY, account_id INT REFERENCES accounts(account_id),
  transaction_type VARCHAR(9), channel VARCHAR(9), amount INT, created_at DATETIME);
"""
FOOD = """
CREATE TABLE restaurants (restaurant_id INT PRIMARY KEY, restaurant_name VARCHAR(20), rating INT, status VARCHAR(9));
CREATE TABLE menus (menu_id INT PRIMARY KEY, restaurant_id INT REFERENCES restaurants(restaurant_id),
  menu_name VARCHAR(20), price INT, is_sold_out BOOLEAN);
CREATE TABLE riders (rider_id INT PRIMARY KEY, rider_name VARCHAR(20), vehicle VARCHAR(9));
CREATE TABLE orders (order_id INT PRIMARY KEY, restaurant_id INT REFERENCES restaurants(restaurant_id),
  delivery_minutes INT, ordered_at DATETIME);
"""


@pytest.mark.parametrize(
    ("schema", "question", "expected"),
    [
        (FOOD, "주문이 들어온 가게 어디임", "orders restaurants which"),
        (FOOD, "메뉴 있으면 이름 나오게 알려주실래요?", "menus menu_name"),
        (FOOD, "라이더가 나른 주문", "riders orders"),
        (FOOD, "그날 일어난 주문이 몇 건쯤 되는지 알고 싶네요", "orders COUNT"),
        (BANK, "계좌 잔액 합계 얼마임?", "accounts SUM balance"),
        (BANK, "돈 많이 든 계좌", "amount high accounts"),
    ],
)
def test_everyday_verbs_and_enders_vanish(schema: str, question: str, expected: str) -> None:
    assert hint(question, schema) == expected


@pytest.mark.parametrize(
    ("schema", "question", "expected"),
    [
        (BANK, "여의도지점에서 만든 계좌", "여의도지점 offices accounts"),
        (FOOD, "황금반점 메뉴 이름", "황금반점 restaurants menus menu_name"),
        (FOOD, "엄마손분식 메뉴", "엄마손분식 restaurants menus"),
        (BANK, "달콤이 고객님 등급", "달콤이 customers grade"),
        (BANK, "서울 타이거즈 계좌", "서울 타이거즈 accounts"),
        (BANK, "김씨 성을 가진 고객", "김 starts customers"),
    ],
)
def test_a_name_glued_to_a_noun_stays_whole_beside_the_table_it_implies(
    schema: str, question: str, expected: str
) -> None:
    assert hint(question, schema) == expected


@pytest.mark.parametrize(
    ("schema", "question", "expected"),
    [
        (BANK, "입금된 거래", "transaction_type 입금 transactions"),
        (BANK, "적금 계좌", "account_type 적금 accounts"),
        (BANK, "앱 채널 거래", "channel 앱 transactions"),
        (BANK, "ATM 채널로 한 거래", "channel ATM transactions"),
        (BANK, "골드 등급 고객", "grade 골드 customers"),
        (BANK, "박서준 등급이 뭐야", "박서준 grade"),
        (BANK, "대구 지역 지점", "region 대구 offices"),
        (FOOD, "오토바이 타는 라이더", "vehicle 오토바이 riders"),
        (FOOD, "폐업한 가게", "status 폐업 restaurants"),
    ],
)
def test_a_value_that_is_also_a_word_stays_korean_beside_its_column(schema: str, question: str, expected: str) -> None:
    assert hint(question, schema) == expected


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("가게 이름", "restaurants restaurant_name"),
        ("식당 이름이랑 메뉴 이름", "restaurants restaurant_name menus menu_name"),
        ("품절된 메뉴 이름이랑 그거 파는 가게 이름", "is_sold_out menus menu_name restaurants restaurant_name"),
        ("가게 이름별로 메뉴 평균 가격", "restaurants restaurant_name per menus AVG price"),
        ("음식점마다 메뉴 수", "restaurants per menus COUNT"),
    ],
)
def test_a_column_is_that_of_the_table_named_beside_it(question: str, expected: str) -> None:
    assert hint(question, FOOD) == expected


@pytest.mark.parametrize(
    ("schema", "question", "expected"),
    [
        (BANK, "잔액 평균", "AVG balance"),
        (BANK, "평균 잔액이 얼마예요", "AVG balance"),
        (BANK, "잔액이 가장 많은 계좌", "balance most high accounts"),
        (BANK, "거래가 가장 많은 계좌", "transactions most COUNT high accounts"),
        (BANK, "총 고객 수", "customers COUNT"),
        (BANK, "고객이 총 몇 명", "customers COUNT"),
        (BANK, "거래한 적 없는 고객", "transactions never customers"),
        (BANK, "거래를 한 번도 안 한 고객", "transactions never customers"),
        (BANK, "한 번도 거래하지 않은 고객", "transactions never customers"),
        (BANK, "거래가 하나도 없는 고객", "transactions never customers"),
        (BANK, "거래한 적이 있는 고객", "transactions ever customers"),
        (BANK, "아직 종료 안 된 계좌", "ended_on not accounts"),
        (FOOD, "평균보다 가격이 비싼 메뉴", "AVG > price menus"),
        (FOOD, "가격 비싼 순으로 메뉴", "price order DESC menus"),
        (FOOD, "평점 높은 가게부터 이름 나열", "rating restaurants order DESC restaurant_name"),
        (FOOD, "평점 탑3 가게", "rating top 3 restaurants"),
        (FOOD, "평점 톱5 가게", "rating top 5 restaurants"),
        (FOOD, "평점 3위까지", "rating top 3"),
        (FOOD, "가격이 최대 3만원인 메뉴", "price 30000 <= menus"),
        (FOOD, "가격이 적어도 5천원 이상인 메뉴", "price 5000 >= menus"),
        (FOOD, "가격 100부터 200까지", "price 100 200 between"),
        (BANK, "아예 거래한 적이 없는 고객", "transactions never customers"),
        (FOOD, "가게가 어디예요", "restaurants which"),
        (FOOD, "라이더가 누구죠", "riders which"),
        (FOOD, "가게 이름이 뭐예요", "restaurants restaurant_name"),
    ],
)
def test_one_notion_has_one_wording(schema: str, question: str, expected: str) -> None:
    assert hint(question, schema) == expected


# People, places, things. Left out for being two things at once: 김남은 (Kim Nam and a particle), 강하나 (strong, or …).
NAMES = """
김하은 이도현 박서준 최지우 정하늘 강민재 조은서 윤태영 장미란 임수빈 한지민 오세훈 서영주 신예린 권나라 황인호 안유진 송가온
류은재 전소민 홍길동 고아라 문채원 양세찬 손나은 배수지 백종원 허준호 유재석 남궁민 노지훈 하정우 곽도원 성시경 차은우
주지훈 우도환 구교환 민효린 나문희 진선규 지창욱 엄정화 채수빈 원빈나 천우희 방탄희 공유진 현빈호 함은정 변요한 염정아 여진구
추자현 도경수 소지섭 석진우 선우은 설경구 마동석 길은혜 연우진 위하준 표예진 명세빈 기은세 반효정 왕지혜 금새록 옥자연 육성재
인교진 맹세나 제시원 모태범 탁재훈 국지용 어수선 은지원 편승엽 용감한 이보라 이나온 박가은 김든솔 오나연 조범석
이다온 김새론 박보검 김지은 이세영 박나래 최우식 김고은 이이경 오정세 정려원 김다미 박소담 김시은
한강 여의도 서초도서관 강남역 해운대 판교 광화문 남대문 제주도 울릉도 경복궁 북한산 설악산 지리산 동대문 신촌역 홍대입구 부산역
중앙도서관 한빛도서관 여의도지점 강남지점 서울역점 명동성당 잠실새내 성수동 연남동 가로수길 종로서적 세종대왕 백록담
무지개구장 한마음돔 푸른운동장 달빛스테이 오션팰리스 올레리조트 별빛엔터 누리은행 황금반점 엄마손분식 먹보대장
기타리스트 러닝화 요가매트 텀블러 아메리카노 떡볶이 라즈베리 메트포르민 아스피린 타이레놀 갤럭시탭 아이패드 맥북에어 에어프라이어
데이터구조 선형대수 미시경제학 심리학개론 드럼치는곰 이어폰한쪽 허니버터칩 불고기버거 오레오 새우깡 나이키 아디다스
코오롱 티웨이항공 제주항공 번개맨 파란하늘 은하철도 나루토 도라에몽 포켓몬 카카오프렌즈 라이언킹 겨울왕국 기생충 올드보이
"""


@pytest.mark.parametrize("name", NAMES.split())
def test_names_stay_as_they_stand(name: str) -> None:
    schema = "CREATE TABLE logs (log_id INT PRIMARY KEY, memo TEXT);"
    for question in (f"{name} 로그 알려줘", f"{name}의 로그", f"{name}에 대한 로그"):
        assert name in hint(question, schema), question


@pytest.mark.parametrize(
    ("stem", "forms"),
    [
        ("걸리", "걸린 걸리는 걸릴 걸려 걸려서 걸렸던 걸렸어요 걸립니다 걸리고 걸리면 걸렸는지"),
        ("받", "받은 받는 받을 받아 받았던 받습니다 받고 받으면 받았나요 받아본 받아간"),
        ("들/", "든 드는 들 들어 들었던 듭니다 들고 들면 드세요"),
        ("듣/ㄷ", "들은 듣는 들을 들어 들었던 듣고 들으면 들어본"),
        ("돕/ㅂ", "도운 돕는 도울 도워 도웠던 돕고 도우면"),
        ("나르/르", "나른 나르는 나를 날라 날랐던 나르고 나르면"),
        ("보내", "보낸 보내는 보낼 보내 보냈던 보내고 보내면 보내주세요"),
        ("주문하", "주문한 주문하는 주문할 주문해 주문했던 주문합니다 주문하고 주문하면"),
        ("쓰", "쓴 쓰는 쓸 써 썼던 씁니다 쓰고 쓰면 썼나"),
    ],
)
def test_stems_are_conjugated_by_their_class(stem: str, forms: str) -> None:
    allomorphs = words._allomorphs(*stem.rstrip("/").split("/"))
    for form in forms.split(" "):
        assert any(
            form.startswith(start) and words.ENDINGS[ending].fullmatch(form, len(start)) for start, ending in allomorphs
        ), form


@pytest.mark.parametrize(
    ("spoken", "digits"),
    [
        ("3만 5천", "35000"),
        ("3만5천", "35000"),
        ("2천만", "20000000"),
        ("백만", "1000000"),
        ("1억 2천만", "120000000"),
        ("1만2000", "12000"),
        ("1,200", "1200"),
        ("4.50", "4.50"),
        ("3.5만", "35000"),
        ("이백오십", "250"),
        ("만", "10000"),
        ("사과", None),
    ],
)
def test_korean_numerals_become_digits(spoken: str, digits: str | None) -> None:
    assert korean_number(spoken) == digits


@pytest.mark.parametrize(
    ("phrase", "digits"),
    [
        ("서른 이상", "30"),
        ("스무 살", "20"),
        ("마흔다섯 살", "45"),
        ("세 명", "3"),
        ("열두 번", "12"),
        ("오십 세", "50"),
        ("3만 5천 원", "35000"),
        ("100kg", "100"),
        ("1,000원", "1000"),
    ],
)
def test_counted_numerals_in_a_question_become_digits_without_their_counter(phrase: str, digits: str) -> None:
    assert hint(f"{phrase}", "") in (digits, f"{digits} >=")


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("2024년 3월 1일", "2024-03-01"),
        ("2024-3-1", "2024-03-01"),
        ("2024.03.01", "2024-03-01"),
        ("2024년", "year 2024"),
        ("3월", "month 3"),
        ("2023년 12월", "year 2023 month 12"),
    ],
)
def test_dates_are_normalised(phrase: str, expected: str) -> None:
    assert hint(phrase, "") == expected


def test_a_date_names_the_only_date_column_of_the_table_it_is_about() -> None:
    assert hint("2024-03-01 이후 주문", SHOP) == "ordered_at 2024-03-01 after orders"


def test_the_same_word_finds_whatever_the_schema_calls_it() -> None:
    for column in ("join_date", "joined_on", "signup_date", "registered_at"):
        assert hint("가입일", f"CREATE TABLE members (member_id INT, {column} DATE)") == column


@pytest.mark.parametrize(
    ("ddl", "expected"),
    [
        (
            GUILDS,
            "players(player_id, username, level, joined_on, guild_id->guilds) guilds(guild_id, name)",
        ),
        ("CREATE TABLE `a` (`x` INT COMMENT 'it''s, a (trap)', -- note\n `y` INT) ENGINE=InnoDB;", "a(x, y)"),
        ("CREATE TABLE b (a_id INT REFERENCES a(x), v ENUM('p','q,r') NOT NULL DEFAULT 'p')", "b(a_id->a, v)"),
        (
            "CREATE TABLE c (i INT, j INT, PRIMARY KEY (i, j), CONSTRAINT k FOREIGN KEY (i) REFERENCES a (x) "
            "ON DELETE CASCADE, UNIQUE KEY u (j), INDEX n (i), CHECK (i > 0))",
            "c(i->a, j)",
        ),
        ("/* head */ CREATE TABLE IF NOT EXISTS d (q DECIMAL(10,2) UNSIGNED); INSERT INTO d VALUES (1)", "d(q)"),
        ("CREATE TABLE e (a_id INT); ALTER TABLE e ADD FOREIGN KEY (a_id) REFERENCES a(x)", "e(a_id->a)"),
        ("  no DDL {question} $PATH  ", "no DDL {question} $PATH"),
        ("CREATE TABLE broken (", "CREATE TABLE broken ("),
        ("", ""),
    ],
)
def test_any_ddl_becomes_one_short_line_and_other_text_stays(ddl: str, expected: str) -> None:
    assert compact_schema(ddl) == expected


def test_no_text_makes_either_function_raise() -> None:
    dice = random.Random(20240301)
    pieces = [
        *"가나다레벨이의수별순명년월일만천 \n\t'\"`“”‘’()[]{}$%\\;,.?!-_0123456789aZ🙂\x00",
        "레벨",
        "CREATE TABLE ",
        "a (b INT)",
    ]
    pieces += ["2024년", "3월", "세 명", "한 번도", "보다 큰", "길드별", "DROP TABLE x;", "²", "٣", "１２"]
    for _ in range(250):
        question = "".join(dice.choices(pieces, k=dice.randint(0, 25)))
        context = dice.choice([GUILDS, "", "".join(dice.choices(pieces, k=dice.randint(0, 25)))])
        assert isinstance(hint(question, context), str)
        assert isinstance(compact_schema(context), str)


def test_a_very_long_question_costs_little_and_always_gives_the_same_hint() -> None:
    question = "레벨이 30 이상인 플레이어 이름 " * 5000
    started = time.process_time()
    assert hint(question, GUILDS) == hint(question, GUILDS)
    assert time.process_time() - started < 2


def test_the_lexicon_has_no_line_that_is_never_read() -> None:
    kind, rows, inflected, faint = "", [], set(), set()
    for line in words.LEXICON.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            kind = line.removeprefix("# [").split("]")[0] if line.startswith("# [") else kind
        elif line.strip():
            assert line.count("\t") == 1 and line.split("\t")[0].strip(), line
            several = {word.replace("_", " ") for word in line.split("\t")[0].split(" ")}
            if kind.startswith("stem "):
                inflected |= several
            elif kind == "faint":
                faint |= several
            else:
                rows.append(line.split("\t")[0].removeprefix("-").strip())
    assert len(rows) >= 2000
    read = {entry.korean: entry for entries in words.lexicon().values() for _, entry in entries}
    assert set(rows) == set(read)
    assert faint <= set(rows)
    assert inflected == set(words.stems())


ARENA = """
CREATE TABLE users (user_id INT, username VARCHAR(9), gold INT, diamonds INT, level INT, is_banned BOOLEAN,
  last_login DATE, created_at DATE);
CREATE TABLE heroes (hero_id INT, user_id INT REFERENCES users(user_id), class VARCHAR(9), required_level INT,
  guild_id INT REFERENCES guilds(guild_id));
CREATE TABLE guilds (guild_id INT, name VARCHAR(9), master_id INT);
CREATE TABLE items (item_id INT, rarity VARCHAR(9), enhance_level INT, price INT);
CREATE TABLE matches (match_id INT, user_id INT, kills INT, deaths INT, mode VARCHAR(9));
CREATE TABLE purchases (purchase_id INT, user_id INT, purchased_at DATE);
"""


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("3만 골드 넘게 가진 유저", "gold 30000 > users"),
        ("천 골드 이상인 유저", "gold 1000 >= users"),
        ("골드랑 다이아 둘 다 많은 유저", "gold diamonds both high users"),
        ("10강 이상 템", "enhance_level 10 >= items"),
        ("20킬 이상 한 판", "kills 20 >="),
        ("킬보다 데스가 더 많은 판", "kills than deaths > matches"),
        ("50렙 이상 유저", "level 50 >= users"),
        ("정지 안 당한 유저", "is_banned not users"),
        ("무과금 유저", "purchases never users"),
        ("길마 아이디", "master_id"),
        ("전설 등급 아이템", "rarity 전설 items"),
        ("max 골드", "MAX gold"),
        ("최대 골드 max", "MAX gold"),
        ("안 겹치게 모드", "distinct mode"),
        ("직업이 몇 종류나 있어", "class distinct COUNT"),
        ("가격이 비싼 것부터", "price order DESC"),
        ("싼 것부터 아이템", "price order items"),
        ("2022년 3월 1일부터 6월 30일 결제", "purchased_at 2022-03-01 2022-06-30 between purchases"),
        ("2022년 3월 1일~15일 결제", "purchased_at 2022-03-01 2022-03-15 between purchases"),
        ("레벨 10~20 유저", "level 10 20 between users"),
        ("모드가 비어 있지 않은 판", "mode not null matches"),
        ("유저 닉넴 쫌 알려주새요 ㄱㄱ", "users username"),
        ("한강 유저", "한강 users"),
    ],
)
def test_players_and_operators_words_ranges_and_slips_are_glossed(question: str, expected: str) -> None:
    assert hint(question, ARENA) == expected


MALL = ddl(load_domains()["shop"], list(load_domains()["shop"]["tables"]))
PAYMENTS = "CREATE TABLE payments (payment_id INT, method VARCHAR(9), amount INT)"
CLAN = """
CREATE TABLE clans (clan_id INT PRIMARY KEY, clan_name VARCHAR(9));
CREATE TABLE heroes (hero_id INT PRIMARY KEY, nickname VARCHAR(9), job VARCHAR(9), level INT, membership VARCHAR(9),
  clan_id INT, FOREIGN KEY (clan_id) REFERENCES clans(clan_id));
"""


@pytest.mark.parametrize(
    ("question", "schema", "expected"),
    [
        ("결제 수단별 건수랑 총액", MALL, "payment_method per COUNT total_amount"),
        ("수단별 건수와 총액", PAYMENTS, "method per COUNT SUM amount"),
        ("총액이 5만 원 넘는 결제", PAYMENTS, "amount 50000 > payments"),
        ("결제 수단 이름만 적어 줘", MALL, "payment_method"),
        ("브랜드 이름만 적어 줘", MALL, "brands name"),
        ("상품이 총 몇 개나 팔려 있어?", MALL, "products COUNT order_items"),
        ("리뷰가 몇 개인지 세봐", MALL, "reviews COUNT"),
        ("5만 원도 없는 고객", MALL, "50000 < customers"),
        ("이메일도 없는 고객", MALL, "email no null customers"),
        ("평점 높은 사람 수 구해줘", MALL, "rating high customers COUNT"),
        ("'배송중'인 주문", MALL, "status '배송중' orders"),
        ("상태가 '배송중'인 주문", MALL, "status '배송중' orders"),
        ("성별이 남성인 고객", MALL, "gender 남성 customers"),
        ("보고서에 넣게 상품 수 좀 세어 주이소", MALL, "products COUNT"),
        ("팀장님이 찾으시는데 여성 고객 목록 한 장으로", MALL, "gender 여성 customers"),
        ("마법사이면서 50레벨 이상인 영웅 닉네임", CLAN, "job 마법사 level 50 >= heroes 영웅 nickname"),
        ("등급이 골드이거나 실버인 고객", MALL, "grade 골드 or 실버 customers"),
        ("이름이 '블랙' 또는 '서울'인 상품", MALL, "name '블랙' or '서울' products"),
        ("'서울'로 시작하는 상품", MALL, "'서울' starts products"),
        ("VIP 이름 알려줘", MALL, "grade VIP name"),
        ("상품명이 보고서인 상품", MALL, "products name 보고서 products"),
        ("2020년 1월 1일 전 주문 수", MALL, "2020-01-01 before orders COUNT"),
        ("클랜도 없는 VIP가 있다던데 닉네임이 뭐야", CLAN, "clans no null membership VIP nickname"),
    ],
)
def test_what_says_nothing_vanishes_and_what_counts_stays(question: str, schema: str, expected: str) -> None:
    assert hint(question, schema) == expected


def test_a_grade_is_a_value_where_the_schema_has_no_column_of_its_name() -> None:
    shop = "CREATE TABLE customers (customer_id INT, name VARCHAR(9), membership VARCHAR(9))"
    assert hint("골드 회원 이름", shop) == "membership 골드 customers name"
    assert hint("무소속 유저", "CREATE TABLE player (id INT, clan_id INT); CREATE TABLE clan (id INT)") == (
        "clan no null player"
    )


def test_plain_ddl_reads_as_the_parser_reads_it() -> None:
    from recipes.ko_text2sql.schema_text import _parsed, parse_tables

    for domain in load_domains().values():
        context = ddl(domain, list(domain["tables"]))
        assert parse_tables(context) == _parsed(context)
