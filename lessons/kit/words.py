"""The few sentences that the kit itself says to learners."""

from __future__ import annotations

WORDS = {
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
    },
}  # fmt: skip
