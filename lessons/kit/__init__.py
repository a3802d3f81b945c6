"""What every notebook uses: pictures and numbers that go into its report, and checks that explain a wrong answer.

from lessons.kit import begin

lesson = begin(3, "en")
lesson.check("3.2", attention_weights)
"""

from lessons.kit.checking import NotYet, Wrong, called, exercise
from lessons.kit.lesson import Lesson, begin

__all__ = ["Lesson", "NotYet", "Wrong", "begin", "called", "exercise"]
