"""The exercises of lesson 8: softmax, top-p, the work of a cache, a cache, sixteen at once, rounding, advice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lessons.kit.asking import opened
from lessons.kit.checking import EMPTY, Wrong, called, exercise
from litellama.generate import generate
from litellama.sampling import Sampling

ALLOWED = 1.05  # times the perplexity of 32 bits, in exercise 8.7


def _numbers(found: Any, shape: tuple[int, ...]) -> Tensor:
    """What a function gave back as numbers of this shape. Raises `Wrong` if it is none."""
    try:
        numbers = torch.as_tensor(found).double()
    except (TypeError, ValueError, RuntimeError):
        raise Wrong("A tensor of numbers was expected.", "Erwartet wird ein Tensor mit Zahlen.") from None
    if tuple(numbers.shape) != shape:
        raise Wrong(
            f"What comes back has the shape {tuple(numbers.shape)}; {shape} was expected, as many numbers as go in.",
            f"Was zurückkommt, hat die Form {tuple(numbers.shape)}; erwartet wird {shape}, so viele Zahlen wie "
            "hineingehen.",
        )
    return numbers


def _is_number(value: object) -> bool:
    """A number that can be compared, also one of torch or numpy with a single value."""
    try:
        return not isinstance(value, bool | str) and abs(float(value)) < 1e12  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        return False


def _near(found: Tensor, right: Tensor) -> bool:
    return bool(torch.allclose(found, right.double(), rtol=1e-4, atol=1e-6))


@exercise("8.1")
def softmax(answer: Any) -> None:
    logits = torch.tensor([2.0, -1.0, 1.0, 0.0], dtype=torch.float64)
    for temperature in (1.0, 0.5, 2.0):
        found = _numbers(called(answer, logits.clone(), temperature), (4,))
        if _near(found, (logits / temperature).softmax(-1)):
            continue
        if not temperature == 1 and _near(found, logits.softmax(-1)):
            raise Wrong(
                "Right for temperature 1, but the temperature changes nothing. Divide the logits by it.",
                "Richtig für die Temperatur 1; die Temperatur ändert aber nichts. Teile die Logits durch sie.",
            )
        if _near(found, (logits * temperature).softmax(-1)):
            raise Wrong(
                "You multiply by the temperature. Divide by it: a high one makes differences smaller.",
                "Du multiplizierst mit der Temperatur. Teile durch sie: Eine hohe macht die Unterschiede kleiner.",
            )
        if _near(found, logits.softmax(-1) / temperature):
            raise Wrong(
                "You divide the probabilities by the temperature. Divide the logits, before `torch.exp`.",
                "Du teilst die Wahrscheinlichkeiten durch die Temperatur. Teile die Logits, vor `torch.exp`.",
            )
        if abs(found.sum().item() - 1) > 1e-4:
            raise Wrong(
                f"Your probabilities add to {found.sum():.4g}; they must add to 1. Divide by their sum.",
                f"Deine Wahrscheinlichkeiten ergeben zusammen {found.sum():.4g}, es muss 1 sein. Teile durch ihre "
                "Summe.",
            )
        raise Wrong(
            f"For the logits {logits.tolist()} and temperature {temperature:g}, "
            f"{[round(p, 3) for p in (logits / temperature).softmax(-1).tolist()]} was expected. Follow the formula: "
            "divide by T, raise e to that power, divide by the sum.",
            f"Für die Logits {logits.tolist()} und die Temperatur {temperature:g} wird "
            f"{[round(p, 3) for p in (logits / temperature).softmax(-1).tolist()]} erwartet. Folge der Formel: durch T "
            "teilen, e damit potenzieren, durch die Summe teilen.",
        )
    large = torch.tensor([1000.0, 999.0, 0.0])
    if not _near(_numbers(called(answer, large, 1.0), (3,)), large.softmax(-1)):
        raise Wrong(
            "Right for small logits, but e to the power of 1000 overflows. Subtract `logits.max()` first.",
            "Richtig für kleine Logits, aber e hoch 1000 läuft über. Ziehe vorher `logits.max()` ab.",
        )


@exercise("8.2")
def nucleus(answer: Any) -> None:
    shares = torch.tensor([0.1, 0.5, 0.05, 0.25, 0.1], dtype=torch.float64)
    trials = {
        0.7: torch.tensor([0.0, 2 / 3, 0.0, 1 / 3, 0.0], dtype=torch.float64),
        0.4: torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0], dtype=torch.float64),
        1.0: shares,
    }
    for top_p, right in trials.items():
        found = _numbers(called(answer, shares.clone(), top_p), (5,))
        if _near(found, right):
            continue
        if found.isnan().any():
            raise Wrong(
                f"For top_p = {top_p}, no token is left. The token that crosses the line stays, too.",
                f"Bei top_p = {top_p} bleibt kein Token übrig. Auch das Token, das die Grenze überschreitet, bleibt.",
            )
        kept = found > 0
        if _near(found, found.sort(descending=True).values) and not _near(right, right.sort(descending=True).values):
            raise Wrong(
                "The probabilities come back in order of size. Put each back into its place: result[places] = ...",
                "Die Wahrscheinlichkeiten kommen der Größe nach geordnet zurück. Stelle jede wieder an ihren Platz: "
                "result[places] = ...",
            )
        if torch.equal(kept, right > 0):
            raise Wrong(
                f"The right tokens are kept, but together they have {found.sum():.3g} instead of 1. Divide by their "
                "sum.",
                f"Es bleiben die richtigen Tokens, aber zusammen haben sie {found.sum():.3g} statt 1. Teile durch ihre "
                "Summe.",
            )
        if int(kept.sum()) < int((right > 0).sum()):
            raise Wrong(
                f"Of {shares.tolist()} and top_p = {top_p} you keep too few tokens. The one that crosses the line "
                "stays, too: look at what the likelier ones had reached *before* it.",
                f"Von {shares.tolist()} mit top_p = {top_p} behältst du zu wenige Tokens. Auch das, mit dem die Grenze "
                "überschritten wird, bleibt: Es zählt, was die wahrscheinlicheren *davor* erreicht haben.",
            )
        raise Wrong(
            f"Of {shares.tolist()} and top_p = {top_p} you keep other or more tokens than necessary. Expected: "
            f"{[round(share, 3) for share in right.tolist()]}.",
            f"Von {shares.tolist()} mit top_p = {top_p} behältst du andere oder mehr Tokens als nötig. Erwartet: "
            f"{[round(share, 3) for share in right.tolist()]}.",
        )


@exercise("8.3")
def work(answer: Any, prompt_length: int, new: int) -> None:
    if not isinstance(answer, tuple | list) or len(answer) != 2 or not all(map(_is_number, answer)):
        raise Wrong("Give two numbers: (without, with).", "Gesucht sind zwei Zahlen: (ohne, mit).")
    without, with_ = (float(part) for part in answer)
    right = (new * prompt_length + new * (new - 1) // 2, prompt_length + new - 1)
    if (without, with_) == right:
        return
    if (with_, without) == right:
        raise Wrong("Right numbers, other order: without the cache first.", "Richtige Zahlen, aber erst ohne Cache.")
    if without == right[0] + new:
        raise Wrong(
            "You count the last new token as well. For the first new token only the prompt is read.",
            "Du zählst das letzte neue Token mit. Für das erste neue Token wird nur der Prompt gelesen.",
        )
    if without == new * prompt_length:
        raise Wrong(
            "The text grows: for the second new token, the first new one is read, too.",
            "Der Text wächst: Für das zweite neue Token wird auch das erste neue gelesen.",
        )
    if without != right[0]:
        raise Wrong(
            f"Without the cache, the model reads {prompt_length} tokens for the first new one, {prompt_length + 1} for "
            f"the second, and so on, {prompt_length + new - 1} for the last. Add them all.",
            f"Ohne Cache liest das Modell für das erste neue Token {prompt_length} Tokens, für das zweite "
            f"{prompt_length + 1} und so fort, für das letzte {prompt_length + new - 1}. Addiere alle.",
        )
    if with_ == prompt_length + new:
        raise Wrong(
            "Without the cache: right. With it you count one too many: the last new token is not read any more.",
            "Ohne Cache stimmt es. Mit Cache zählst du eines zu viel: Das letzte neue Token wird nicht mehr gelesen.",
        )
    raise Wrong(
        "Without the cache: right. With it, the prompt is read once, and then each new token once, but for the last.",
        "Ohne Cache stimmt es. Mit Cache wird der Prompt einmal gelesen und dann jedes neue Token einmal, nur das "
        "letzte nicht.",
    )


@exercise("8.4")
def with_cache(answer: Any) -> None:
    lab = opened()
    prompt, new = lab.chat_format.write([("user", "Hello!")], lab.tokenizer), 12
    steps = generate(lab.model, prompt, sampling=Sampling(temperature=0), max_new_tokens=new, seed=0)
    right = [*prompt, *(step.id for step in steps)]
    read: list[int] = []
    embedding = lab.model.model.embed_tokens
    hook = embedding.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0].numel()))
    try:
        found = called(answer, lab.model, list(prompt), new)
    finally:
        hook.remove()
    try:
        ids = [int(id) for id in found]
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(
            "A list of ids was expected: the prompt's and the new ones.",
            "Erwartet wird eine Liste von Ids: die des Prompts und die neuen.",
        ) from None
    if ids == prompt and not read:
        raise EMPTY
    if not read:
        raise Wrong("The model was not called at all: write model(...) in the loop.", "Das Modell wurde gar nicht "
                    "aufgerufen: Schreibe model(...) in die Schleife.")  # fmt: skip
    if ids == right[len(prompt) :]:
        raise Wrong(
            "Only the new ids come back. Put them behind the prompt's: ids += ...",
            "Zurück kommen nur die neuen Ids. Hänge sie an die des Prompts: ids += ...",
        )
    if len(ids) != len(right):
        raise Wrong(
            f"{len(ids) - len(prompt)} tokens were written instead of {new}: each round of the loop must put one "
            "behind `ids`.",
            f"Es wurden {len(ids) - len(prompt)} Tokens geschrieben statt {new}: Jede Runde der Schleife muss eines an "
            "`ids` hängen.",
        )
    if sum(read) > len(prompt) + new:
        raise Wrong(
            f"The model read {sum(read)} tokens; with a cache, {len(prompt) + new - 1} are enough. After the prompt, "
            "let it read the newest token alone: read = [id].",
            f"Das Modell hat {sum(read)} Tokens gelesen; mit Cache reichen {len(prompt) + new - 1}. Lass es nach dem "
            "Prompt nur das neueste Token lesen: read = [id].",
        )
    if ids != right:
        raise Wrong(
            "The tokens differ from those of the library. Does the model get `cache=cache`? Without it, it has "
            "forgotten all but the newest token. And take the likeliest token: argmax of the last place.",
            "Die Tokens sind andere als die der Bibliothek. Bekommt das Modell `cache=cache`? Sonst hat es alles bis "
            "auf das neueste Token vergessen. Und nimm das wahrscheinlichste Token: argmax der letzten Stelle.",
        )


@exercise("8.5")
def gain(answer: Any, together: Mapping[int, float]) -> None:
    if any(part is ... for part in answer):
        raise EMPTY
    if not all(map(_is_number, answer)):
        raise Wrong("`gain` and `left` must be numbers.", "`gain` und `left` müssen Zahlen sein.")
    gain, left = (float(part) for part in answer)
    right = together[16] / together[1]

    def near(value: float, wanted: float) -> bool:
        return abs(value / wanted - 1) < 0.02

    if near(gain, right) and near(left, right / 16):
        return
    if near(gain, 1 / right):
        raise Wrong("`gain`: divide the other way round.", "`gain`: Teile andersherum.")
    if near(gain, together[16] - together[1]):
        raise Wrong(
            "`gain`: that is how many more. For “times as many”, divide.",
            "`gain`: So viele sind es mehr. Für „wie viele Male so viele“ musst du teilen.",
        )
    if not near(gain, right):
        raise Wrong(
            "`gain` is the speed of all 16 together divided by the speed of one alone.",
            "`gain` ist das Tempo aller 16 zusammen, geteilt durch das Tempo von einem allein.",
        )
    if near(left, 100 * right / 16):
        raise Wrong("`left`: leave it as a share of 1.", "`left`: Gefragt ist der Anteil an 1, nicht in Prozent.")
    if near(left, together[16] / 16):
        raise Wrong(
            "`left`: these are each one's tokens per second. Divide them by the speed of one who is alone.",
            "`left`: Das sind die Tokens je Sekunde für jeden. Teile sie durch das Tempo dessen, der allein ist.",
        )
    raise Wrong("`gain` is right. For `left`, share it among 16.", "`gain` stimmt. Teile es für `left` auf 16 auf.")


@exercise("8.6")
def round_row(answer: Any) -> None:
    row = torch.tensor([0.3, -1.27, 0.006, 0.5, -0.014, 1.0])
    for bits, most in ((8, 127), (4, 7)):
        found = called(answer, row.clone(), bits)
        if not isinstance(found, tuple | list) or len(found) != 3:
            raise Wrong(
                "Three things were expected: return whole, scale, error.",
                "Erwartet werden drei Dinge: return whole, scale, error.",
            )
        if not all(map(_is_number, found[1:])):
            raise Wrong(
                "Scale and error must be single numbers: the largest, `.max()`.",
                "Maßstab und Fehler müssen einzelne Zahlen sein: jeweils die größte, `.max()`.",
            )
        whole, scale, error = _numbers(found[0], (6,)), float(found[1]), float(found[2])
        right = 1.27 / most
        _check_scale(scale, right, bits, most)
        expected = torch.round(row / right).double()
        if not torch.equal(whole, expected):
            _explain_whole(whole, expected, row, right)
        distances = (row - expected * right).abs()
        if abs(error - distances.max().item()) > 1e-5:
            if abs(error - distances.mean().item()) < 1e-5:
                raise Wrong("That is the mean error; the largest is wanted.", "Das ist der mittlere Fehler; gesucht "
                            "ist der größte.")  # fmt: skip
            if error < 0 or abs(error - (row - expected * right).max().item()) < 1e-5:
                raise Wrong(
                    "Errors can be negative. Take `.abs()` before you look for the largest.",
                    "Fehler können negativ sein. Nimm `.abs()`, bevor du den größten suchst.",
                )
            raise Wrong(
                "The error is the largest distance between `row` and `whole * scale`.",
                "Der Fehler ist der größte Abstand zwischen `row` und `whole * scale`.",
            )


def _check_scale(scale: float, right: float, bits: int, most: int) -> None:
    if abs(scale / right - 1) < 1e-3:
        return
    if abs(scale * right - 1) < 1e-3:
        raise Wrong(
            "The scale is upside down: the largest weight divided by the largest whole number.",
            "Der Maßstab steht auf dem Kopf: das größte Gewicht, geteilt durch die größte ganze Zahl.",
        )
    if abs(scale / (1.0 / most) - 1) < 1e-3:
        raise Wrong(
            "A negative weight can be the largest, too: take `row.abs().max()`.",
            "Auch ein negatives Gewicht kann das größte sein: Nimm `row.abs().max()`.",
        )
    if any(abs(scale * count / 1.27 - 1) < 1e-3 for count in (2 ** (bits - 1), 2**bits - 1, 2**bits)):
        raise Wrong(
            f"With {bits} bits, whole numbers go from −{most} to {most}: divide by 2 ** (bits - 1) - 1.",
            f"Mit {bits} Bits gehen die ganzen Zahlen von −{most} bis {most}: Teile durch 2 ** (bits - 1) - 1.",
        )
    if abs(scale / (1.27 / 127) - 1) < 1e-3:
        raise Wrong(
            "Right for 8 bits. For other numbers of bits, write 2 ** (bits - 1) - 1 instead of 127.",
            "Richtig für 8 Bits. Schreibe für andere Anzahlen 2 ** (bits - 1) - 1 statt 127.",
        )
    raise Wrong(
        f"For a row whose largest weight is −1.27 and {bits} bits, the scale must be {right:.4g}; yours is "
        f"{scale:.4g}.",
        f"Für eine Zeile mit dem größten Gewicht −1,27 und {bits} Bits muss der Maßstab {right:.4g} sein; deiner ist "
        f"{scale:.4g}.",
    )


def _explain_whole(whole: Tensor, expected: Tensor, row: Tensor, scale: float) -> None:
    if torch.allclose(whole, (row / scale).double(), atol=1e-3):
        raise Wrong("The numbers are not whole yet: `torch.round`.", "Die Zahlen sind noch nicht ganz: `torch.round`.")
    if torch.allclose(whole, expected * scale, atol=1e-4):
        raise Wrong(
            "That is the row as it comes back. Give the whole numbers before they are multiplied by the scale.",
            "Das ist die Zeile, wie sie zurückkommt. Gib die ganzen Zahlen zurück, vor dem Malnehmen mit dem Maßstab.",
        )
    if torch.equal(whole, torch.trunc(row / scale).double()) or torch.equal(whole, torch.floor(row / scale).double()):
        raise Wrong(
            "You cut the digits off. Round to the *nearest* whole number: `torch.round`.",
            "Du schneidest die Stellen ab. Runde auf die *nächste* ganze Zahl: `torch.round`.",
        )
    raise Wrong(
        "The scale is right. The whole numbers are `row / scale`, rounded.",
        "Der Maßstab stimmt. Die ganzen Zahlen sind `row / scale`, gerundet.",
    )


@exercise("8.7")
def advised_bits(answer: Any, perplexity: Mapping[int, float]) -> None:
    measured = sorted(bits for bits in perplexity if bits != 32)
    if not _is_number(answer) or float(answer) not in [*measured, 32]:
        raise Wrong(
            f"Give one of the measured numbers of bits: {', '.join(map(str, measured))}.",
            f"Gib eine der gemessenen Anzahlen von Bits an: {', '.join(map(str, measured))}.",
        )
    bits, limit = int(answer), ALLOWED * perplexity[32]
    if perplexity[bits] > limit:
        raise Wrong(
            f"With {bits} bits the perplexity is {perplexity[bits]:,.3f}; at most 1.05 × {perplexity[32]:.3f} = "
            f"{limit:.3f} is allowed.",
            f"Mit {bits} Bits ist die Perplexität {perplexity[bits]:,.3f}; erlaubt ist höchstens 1,05 × "
            f"{perplexity[32]:.3f} = {limit:.3f}.",
        )
    if any(perplexity[fewer] <= limit for fewer in measured if fewer < bits):
        raise Wrong(
            f"{bits} bits are good enough, but fewer are, too: at most {limit:.3f} is allowed.",
            f"{bits} Bits sind gut genug, aber weniger auch: Erlaubt ist höchstens {limit:.3f}.",
        )
