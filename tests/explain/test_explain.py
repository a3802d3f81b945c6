"""What the lab says of a run is what the run did: maps equal transformers', attributions equal Captum's, and a head
whose weights were written by hand gets the role it was written for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from captum.attr import FeatureAblation, IntegratedGradients
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from litellama.chat import Message
from litellama.config import ModelConfig, preset
from litellama.explain.attention import (
    LONGEST_WINDOW,
    AttentionMaps,
    attention_maps,
    head_roles,
    role_scores,
    roles_in,
    rollout,
)
from litellama.explain.attribution import (
    METHODS,
    Attribution,
    ScoringProgress,
    attribute,
    finished,
    integrated_gradients,
)
from litellama.explain.lens import logit_lens
from litellama.explain.scoring import Scorer, Target, deletion_curve, rank_correlation, sufficiency_curve
from litellama.explain.tokenized_run import TokenizedRun, read_chat, read_text
from litellama.model import LiteLlama, rotary_frequencies
from litellama.tokenizer import Tokenizer
from tests.conftest import random_model

QUESTION = [Message("user", "Tom found a red kite near the old tree. Where is the kite?")]


@pytest.fixture
def reading(tiny_model: LiteLlama, tokenizer: Tokenizer) -> TokenizedRun:
    return read_chat(tiny_model, tokenizer, QUESTION, answer="The kite is near the tree.")


def whole_answer(reading: TokenizedRun) -> Target:
    return Target(reading.answer_start, len(reading.ids))


# --- Reading ---------------------------------------------------------------------------------------------------------


def test_a_reading_knows_its_words(reading: TokenizedRun) -> None:
    words = [reading.text_of(unit).strip() for unit in reading.units("word")]
    assert words == "Tom found a red kite near the old tree . Where is the kite ?".split()
    sentences = [reading.text_of(unit).strip() for unit in reading.units("sentence")]
    assert sentences == ["Tom found a red kite near the old tree.", "Where is the kite?"]
    assert reading.text_of(reading.answer) == " The kite is near the tree."
    assert [unit[0] for unit in reading.units("token")] == list(reading.prompt)
    assert all(not reading.tokens[place].startswith("<|") for place in reading.prompt)


def test_characters_are_found_in_tokens(reading: TokenizedRun) -> None:
    start = reading.text.index("red kite")
    places = reading.positions_in(start, start + len("red kite"))
    assert reading.text_of(places).strip() == "red kite"
    assert reading.positions_in(start + 1, start + 1) == ()


def test_parts_of_a_character_stay_in_one_word(tiny_model: LiteLlama, tokenizer: Tokenizer) -> None:
    reading = read_text(tiny_model, tokenizer, "a ☃☃ b", max_new_tokens=0)
    assert len(reading.ids) > 6, "the snowmen should be several tokens each"
    words = [reading.text_of(unit) for unit in reading.units("word")]
    assert "".join(words) == "a ☃☃ b"
    assert len(words) <= 4


def test_an_answer_is_the_models_own(tiny_model: LiteLlama, tokenizer: Tokenizer) -> None:
    reading = read_chat(tiny_model, tokenizer, QUESTION, max_new_tokens=5)
    logits = tiny_model(torch.tensor([reading.ids])).logits[0]
    for place in reading.answer:
        assert logits[place - 1].argmax() == reading.ids[place]


def test_bad_texts_get_a_sentence(tiny_model: LiteLlama, tokenizer: Tokenizer, reading: TokenizedRun) -> None:
    long = "the tree " * 10_000
    with pytest.raises(ValueError, match="shorten it"):
        read_chat(tiny_model, tokenizer, [Message("user", long)])
    with pytest.raises(ValueError, match="reads at most 128 at once"):
        read_text(tiny_model, tokenizer, long)
    with pytest.raises(ValueError, match="the text is empty"):
        read_text(tiny_model, tokenizer, "")
    with pytest.raises(ValueError, match="a window from 5 to 4"):
        attention_maps(tiny_model, reading.ids, 5, 4)
    with pytest.raises(ValueError, match="at most 512 are shown"):
        attention_maps(tiny_model, [1] * 600, 0, LONGEST_WINDOW + 1)
    with pytest.raises(ValueError, match="reads at most 128"):
        attention_maps(tiny_model, [1] * 600, 0, 200)


# --- Attention -------------------------------------------------------------------------------------------------------


def test_maps_equal_transformers_on_a_460m_layout() -> None:
    config = replace(
        preset("litellama-460m"), vocab_size=300, hidden_size=128, intermediate_size=256, head_dim=64
    )  # every layer and head there is, narrower
    ours = random_model(config)
    for parameter in ours.parameters():
        if parameter.dim() > 1:
            parameter.data.mul_(0.4)  # 24 layers of large weights would put all attention on one token
    theirs = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=300, hidden_size=128, intermediate_size=256, num_hidden_layers=24, num_attention_heads=16,
            num_key_value_heads=2, head_dim=64, rms_norm_eps=config.rms_norm_eps, attn_implementation="eager",
            max_position_embeddings=1024, rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
            tie_word_embeddings=False,
        )
    ).eval()  # fmt: skip
    theirs.load_state_dict(ours.state_dict())
    ids = torch.randint(300, (90,), generator=torch.Generator().manual_seed(3)).tolist()
    with torch.no_grad():
        expected = torch.cat(theirs(torch.tensor([ids]), output_attentions=True).attentions)
    assert 0.01 < expected.amax(-1).mean() < 0.99
    torch.testing.assert_close(attention_maps(ours, ids).weights, expected, atol=1e-5, rtol=1e-4)
    window = attention_maps(ours, ids, 40, 70)
    torch.testing.assert_close(window.weights, expected[:, :, 40:70, :70], atol=1e-5, rtol=1e-4)


def test_thumbnails_keep_the_largest_weight(tiny_model: LiteLlama, reading: TokenizedRun) -> None:
    maps = attention_maps(tiny_model, reading.ids)
    small = maps.thumbnails(7)
    assert small.shape == (2, 4, 7, 7)
    torch.testing.assert_close(small.amax((2, 3)), maps.weights.amax((2, 3)))
    assert maps.thumbnails(1000).shape[-1] == len(reading.ids)
    assert attention_maps(tiny_model, reading.ids, 5, 15).thumbnails(1000).shape == (2, 4, 10, 10)


def test_rollout_is_worked_through() -> None:
    first = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    second = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    maps = AttentionMaps(torch.stack((first, second))[:, None], 0)
    # Layer 1 mixes to [[1, 0], [1/4, 3/4]], layer 2 to [[1, 0], [1/2, 1/2]]; the second row is 1/2 * 1 + 1/2 * 1/4.
    torch.testing.assert_close(rollout(maps), torch.tensor([[1.0, 0.0], [0.625, 0.375]]))
    with pytest.raises(ValueError, match="window starts there"):
        rollout(AttentionMaps(torch.ones(1, 1, 1, 2) / 2, 1))


KINDS, BEGIN = 10, 10  # ten ordinary tokens and one that opens the text
KNOWN = ("previous token", "first token", "same token", "current word")


def hand_made_model() -> LiteLlama:
    """Two layers of four heads written by hand. Layer 0: one head each of `KNOWN`, the first of which notes the
    previous token's kind; layer 1: an induction head, which looks for a token whose note equals the current kind."""
    size = 16
    config = ModelConfig(
        vocab_size=KINDS + 1, hidden_size=24, intermediate_size=8, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, head_dim=size, max_position_embeddings=256, rope_theta=1e8, tie_word_embeddings=False,
    )  # fmt: skip
    opens, always, notes = KINDS, KINDS + 1, KINDS + 2  # coordinates of the stream, after one for each kind
    pairs = size // 2
    codes = [*range(3, pairs), *range(pairs + 3, size)]  # coordinates of a head that hardly turn: one for each kind
    turn = rotary_frequencies(config)
    model = LiteLlama(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if "norm" in name else 0.0)
        table = model.model.embed_tokens.weight
        table[:KINDS, :KINDS] = torch.eye(KINDS)
        table[BEGIN, opens] = 1
        table[:, always] = 1
        first, second = (layer.self_attn for layer in model.model.layers)
        look = 8.0
        for head, back in ((0, 1), (3, 0)):  # the score is largest `back` tokens ago, by the three fastest pairs
            for pair in range(3):
                first.q_proj.weight[head * size + pair, always] = look
                first.k_proj.weight[head * size + pair, always] = look * math.cos(back * turn[pair])
                first.k_proj.weight[head * size + pair + pairs, always] = look * math.sin(back * turn[pair])
        first.q_proj.weight[size + pairs - 1, always] = look
        first.k_proj.weight[size + pairs - 1, opens] = look
        for kind, code in enumerate(codes):
            first.q_proj.weight[2 * size + code, kind] = first.k_proj.weight[2 * size + code, kind] = look
            first.v_proj.weight[code, kind] = 1
            first.o_proj.weight[notes + kind, code] = 1
            second.q_proj.weight[code, kind] = second.k_proj.weight[code, notes + kind] = look
    return model


def test_hand_made_heads_get_their_roles() -> None:
    model = hand_made_model()
    drawn = torch.randint(KINDS, (30,), generator=torch.Generator().manual_seed(0)).tolist()
    ids = [BEGIN, *drawn, *drawn]
    words = [(place, place + 1) for place in range(1, len(ids) - 1, 2)]
    scores = role_scores(attention_maps(model, ids), ids, words)
    for head, role in enumerate(KNOWN):
        assert scores[role][0, head] > 0.6, role
        others = {name: float(score[0, head]) for name, score in scores.items() if name != role}
        assert max(others.values()) < scores[role][0, head], (role, others)
    assert scores["previous token"][0, 0] > 0.95
    assert scores["first token"][0, 1] > 0.95
    assert scores["induction"][1, 0] > 0.95
    assert scores["induction"][0].max() < 0.3
    lost = scores["same token"]  # a role nobody can play is not a score of zero
    assert role_scores(attention_maps(model, range(9)), range(9), [])["same token"].isnan().all()
    assert not lost.isnan().any()


def test_roles_of_a_model_and_of_a_text(tiny_model: LiteLlama, tokenizer: Tokenizer, reading: TokenizedRun) -> None:
    roles = head_roles(tiny_model, tokenizer)
    assert all(score.shape == (2, 4) for score in roles.scores.values())
    assert all(0 <= share <= 1 for score in roles.scores.values() for share in score.flatten().tolist())
    again = head_roles(tiny_model, tokenizer)
    assert all(torch.equal(score, again.scores[name]) for name, score in roles.scores.items())
    role, score = roles_in(attention_maps(tiny_model, reading.ids), reading).role(0, 0)
    assert role is None or score >= 0.4


# --- The lens --------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_the_lens_ends_at_the_logits(tiny_model: LiteLlama, reading: TokenizedRun) -> None:
    table = logit_lens(tiny_model, reading.ids, top=3)
    probabilities = tiny_model(torch.tensor([reading.ids])).logits[0].softmax(-1)
    values, ids = probabilities.topk(3)
    assert torch.equal(table.ids[-1], ids)
    torch.testing.assert_close(table.probabilities[-1], values, atol=1e-5, rtol=1e-4)
    assert table.ids.shape == (3, len(reading.ids), 3)
    for column, row in enumerate(table.settled.tolist()):
        tops = table.ids[:, column, 0].tolist()
        assert tops[row:] == [tops[-1]] * (len(tops) - row)
        assert row == 0 or tops[row - 1] != tops[-1]
    some = logit_lens(tiny_model, reading.ids, positions=[4, 9], top=3)
    assert torch.equal(some.ids, table.ids[:, [4, 9]])
    torch.testing.assert_close(some.probabilities, table.probabilities[:, [4, 9]], atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="place 999"):
        logit_lens(tiny_model, reading.ids, positions=[999])


# --- Attribution -----------------------------------------------------------------------------------------------------


def feature_mask(scorer: Scorer) -> Tensor:
    """Captum's numbering: places of unit u bear u + 1, all others 0. (1, T, 1)"""
    mask = torch.zeros(len(scorer.embeddings), dtype=torch.long)
    for number, unit in enumerate(scorer.units):
        mask[list(unit)] = number + 1
    return mask[None, :, None]


def by_unit(scores: Tensor, units: Sequence[tuple[int, ...]]) -> Tensor:
    return torch.stack([scores[0, list(unit)].sum() for unit in units])


def test_integrated_gradients_equal_captums(tiny_model: LiteLlama, reading: TokenizedRun) -> None:
    scorer = Scorer(tiny_model, reading, whole_answer(reading), reading.units("word"))
    *_, ours = integrated_gradients(scorer, 40)
    theirs = IntegratedGradients(scorer.score).attribute(
        scorer.embeddings[None], baselines=scorer.blank[None], n_steps=40, method="gausslegendre"
    )
    assert isinstance(ours, Tensor)
    assert ours.abs().max() > 0.1
    torch.testing.assert_close(ours, by_unit(theirs.detach().sum(-1), scorer.units), atol=1e-4, rtol=1e-4)


def test_ablation_equals_captums(tiny_model: LiteLlama, reading: TokenizedRun) -> None:
    scorer = Scorer(tiny_model, reading, whole_answer(reading), reading.units("word"))
    ours = finished(attribute(tiny_model, reading, whole_answer(reading), "ablation"))
    with torch.no_grad():
        theirs = FeatureAblation(scorer.score).attribute(
            scorer.embeddings[None], baselines=scorer.blank[None], feature_mask=feature_mask(scorer)
        )
    expected = torch.stack([theirs[0, unit[0], 0] for unit in scorer.units])
    torch.testing.assert_close(ours.scores, expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_shared_beginning_changes_nothing(tiny_model: LiteLlama, reading: TokenizedRun) -> None:
    scorer = Scorer(tiny_model, reading, whole_answer(reading), reading.units("word"))
    kept = torch.rand(40, len(scorer.units), generator=torch.Generator().manual_seed(1)) > 0.3
    kept[0] = True
    got = scorer.scores(kept)
    for row, score in zip(kept, got, strict=True):
        text = scorer.embeddings.clone()
        for unit, keep in zip(scorer.units, row, strict=True):
            if not keep:
                text[list(unit)] = scorer.baseline
        torch.testing.assert_close(score, scorer.score(text[None])[0], atol=1e-4, rtol=1e-4)
    logits = tiny_model(torch.tensor([reading.ids])).logits[0].log_softmax(-1)
    expected = sum(logits[place - 1, reading.ids[place]] for place in reading.answer)
    torch.testing.assert_close(got[0], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["word", "sentence"])
def test_every_method_ends_with_a_number_for_every_unit(
    tiny_model: LiteLlama, reading: TokenizedRun, method: str, name: str
) -> None:
    units = reading.units(name)  # type: ignore[arg-type]
    news = list(attribute(tiny_model, reading, whole_answer(reading), method, units))
    result = news[-1]
    assert isinstance(result, Attribution)
    assert result.scores.shape == (len(units),)
    assert result.scores.isfinite().all()
    progress = [one for one in news if isinstance(one, ScoringProgress)]
    assert progress[0].seconds_left > 0, "an estimate comes before the work"
    assert progress[-1].done == progress[-1].total
    if result.gap is not None:
        assert result.gap < 0.01
        torch.testing.assert_close(
            result.scores.sum().item(), result.score - result.blank_score, atol=0, rtol=0.011, check_dtype=False
        )


def test_why_this_rather_than_that(tiny_model: LiteLlama, reading: TokenizedRun) -> None:
    place = reading.answer_start
    logits = tiny_model(torch.tensor([reading.ids])).logits[0, place - 1]
    other = int(logits.argmax()) if int(logits.argmax()) != reading.ids[place] else int(logits.argmin())
    result = finished(attribute(tiny_model, reading, Target(place, place + 1, instead=other), "ablation"))
    assert result.score == pytest.approx((logits[reading.ids[place]] - logits[other]).item(), abs=1e-4)


def test_impossible_targets_get_a_sentence(tiny_model: LiteLlama, tokenizer: Tokenizer, reading: TokenizedRun) -> None:
    def refuse(target: Target, sentence: str, method: str = "ablation", **changes: object) -> None:
        with pytest.raises(ValueError, match=sentence):
            attribute(tiny_model, replace(reading, **changes), target, method)  # type: ignore[arg-type]

    end = len(reading.ids)
    refuse(Target(0, 2), "the answer's tokens go from")
    refuse(Target(end, end + 1), "the answer's tokens go from")
    refuse(Target(end - 1, end, instead=10**6), "there is no token 1000000")
    refuse(Target(end - 1, end), "no method called 'magic'", "magic")
    refuse(Target(end - 1, end), "answered without a word", answer_start=end)
    with pytest.raises(ValueError, match="no words"):
        attribute(tiny_model, reading, whole_answer(reading), "ablation", units=())


def test_deleting_everything_ends_at_the_blank_text(tiny_model: LiteLlama, reading: TokenizedRun) -> None:
    scorer = Scorer(tiny_model, reading, whole_answer(reading), reading.units("word"))
    curve = deletion_curve(scorer, torch.arange(len(scorer.units)))
    whole, blank = scorer.ends()
    assert curve[0] == 1
    assert curve[-1].item() == pytest.approx(math.exp(blank - whole), rel=1e-3)
    shown = sufficiency_curve(scorer, torch.arange(len(scorer.units)))
    torch.testing.assert_close(shown[[0, -1]], curve[[-1, 0]], atol=1e-6, rtol=1e-3)
    half = shown[5].item()
    kept = torch.arange(len(scorer.units))[None] < round(len(scorer.units) / 2)
    assert half == pytest.approx((scorer.scores(kept) - whole).exp().item(), rel=1e-3)


def test_rank_correlation_is_spearmans() -> None:
    # The worked example of the encyclopedia: IQ and hours of television, rho = -29/165.
    iq = torch.tensor([106.0, 100, 86, 101, 99, 103, 97, 113, 112, 110])
    hours = torch.tensor([7.0, 27, 2, 50, 28, 29, 20, 12, 6, 17])
    assert rank_correlation(iq, hours) == pytest.approx(-29 / 165)
    assert rank_correlation(iq, iq * 3) == 1
    assert rank_correlation(torch.ones(1), torch.ones(1)) == 1
