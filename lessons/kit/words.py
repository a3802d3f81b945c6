"""The few sentences that the kit itself says to learners."""

from __future__ import annotations

from typing import Any

WORDS: dict[str, dict[str, Any]] = {
    "en": {
        "ready": "Lesson {number} runs on {machine}.",
        "gpu": "It uses the GPU; figures of speed and energy differ from those on a processor.",
        "cpu": "Figures of speed and energy depend on this machine. The last digits of others may differ, too.",
        "fast": "Fast mode: trainings and measurements are short, so that all can be tried in a minute or two.",
        "passed": "Exercise {number}: right.",
        "passed_all": "All {count} exercises of this lesson are right.",
        "measured": "measured", "estimated": "estimated", "published": "published", "computed": "computed",
        "report": "Lab report", "report_file": "Your report is written",
        "report_pdf": "and as PDF", "report_print": "Open it in a browser and print it to get a PDF.",
        "machine": "Machine", "date": "Date", "mode": "Mode", "mode_fast": "fast", "mode_full": "full",
        "name": "Name", "exercises": "Exercises", "exercise": "Exercise", "done": "Right", "tries": "Tries",
        "yes": "yes", "no": "not yet", "numbers": "Numbers", "what": "What", "value": "Value", "how": "How it is known",
        "pictures": "Pictures", "notes": "Notes", "models": "Models", "line": "line",
        "preparing": "Preparing ...", "step": "step", "steps_done": "step {step} of {steps}", "loss_now": "loss {loss}",
        "speed": "{speed} tokens per second", "left": "about {seconds} s left",
        "stopped": "stopped and saved; run this cell again to go on",
        "diverged": "the loss is no number any more: the training has broken down",
        "training_loss": "what it reads", "held_out_loss": "held out", "loss_axis": "loss (nats per token)",
        "runs_done": "training {number} of {runs}: {size}, {tokens} tokens",
        "ladder": {
            "measured": "{tokens} tokens, measured", "fitted": "{tokens} tokens, fitted",
            "law": "the law at {tokens} tokens, extrapolated", "extrapolated": "{name}, extrapolated",
            "parameters": "parameters, embedding and head included", "loss": "held-out loss, nats per token",
            "thousands": ",",
        },
        "not_whole": "This model was not trained to its end. Run the cell of its training again first.",
        "kept": "Your model lies in {folder}. The app shows it in its list of models as {name}.",
    },
    "de": {
        "ready": "Lektion {number} läuft auf {machine}.",
        "gpu": "Sie nutzt die Grafikkarte; Tempo und Energie sind anders als auf einem Prozessor.",
        "cpu": "Tempo und Energie hängen von diesem Rechner ab. Auch bei anderen Zahlen können die letzten Stellen "
        "abweichen.",
        "fast": "Schneller Modus: Trainings und Messungen sind kurz, damit sich alles in ein, zwei Minuten "
        "ausprobieren lässt.",
        "passed": "Aufgabe {number}: richtig.",
        "passed_all": "Alle {count} Aufgaben dieser Lektion sind richtig gelöst.",
        "measured": "gemessen", "estimated": "geschätzt", "published": "veröffentlicht", "computed": "berechnet",
        "report": "Protokoll", "report_file": "Dein Protokoll ist gespeichert",
        "report_pdf": "und als PDF", "report_print": "Öffne es im Browser und drucke es, um ein PDF zu bekommen.",
        "machine": "Rechner", "date": "Datum", "mode": "Modus", "mode_fast": "schnell", "mode_full": "voll",
        "name": "Name", "exercises": "Aufgaben", "exercise": "Aufgabe", "done": "Richtig", "tries": "Versuche",
        "yes": "ja", "no": "noch nicht", "numbers": "Zahlen", "what": "Was", "value": "Wert",
        "how": "Woher die Zahl stammt", "pictures": "Bilder", "notes": "Notizen", "models": "Modelle", "line": "Zeile",
        "preparing": "Wird vorbereitet ...", "step": "Schritt", "steps_done": "Schritt {step} von {steps}",
        "loss_now": "Loss {loss}", "speed": "{speed} Tokens pro Sekunde", "left": "noch etwa {seconds} s",
        "stopped": "angehalten und gespeichert; führe die Zelle noch einmal aus, dann geht es weiter",
        "diverged": "der Loss ist keine Zahl mehr: Das Training ist zusammengebrochen",
        "training_loss": "was es liest", "held_out_loss": "zurückgehalten", "loss_axis": "Loss (nat pro Token)",
        "runs_done": "Training {number} von {runs}: {size}, {tokens} Tokens",
        "ladder": {
            "measured": "{tokens} Tokens, gemessen", "fitted": "{tokens} Tokens, angepasst",
            "law": "das Gesetz bei {tokens} Tokens, hochgerechnet", "extrapolated": "{name}, hochgerechnet",
            "parameters": "Parameter, mit Embedding und Ausgabe", "loss": "zurückgehaltener Loss, nat pro Token",
            "thousands": ".",
        },
        "not_whole": "Dieses Modell ist nicht zu Ende trainiert. Führe zuerst die Zelle mit seinem Training noch "
        "einmal aus.",
        "kept": "Dein Modell liegt in {folder}. Die App zeigt es in ihrer Liste der Modelle als {name}.",
    },
}  # fmt: skip
