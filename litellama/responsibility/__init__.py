"""What a model owes those it speaks of and to: equal treatment, well-founded certainty, no text given away verbatim.

`pairs` compares prompts that differ in one word, `calibration` asks whether 80 % sure means right in 80 of 100 cases,
`memorisation` how much of a text comes back word for word. All three measure; what follows from it is for people.
"""
