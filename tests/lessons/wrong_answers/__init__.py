"""For each lesson, answers that are wrong in the ways that learners are, and a piece of the sentence each must hear."""
