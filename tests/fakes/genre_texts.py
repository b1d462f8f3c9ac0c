"""Short texts in the forms that the genre cards ask for, written by hand: what a synthetic profile has to keep."""

GENRE_TEXTS = {
    "meeting minutes": """\
Minutes, weekly review
Present: the product lead, two engineers, the head of support

1. The exchange
- A customer asked how to cancel an order that had already left the warehouse.
- The assistant said that it could not stop the parcel, and offered the return label.
2. Discussion
- Support would have promised to try. The lead thought the plain answer kinder.
3. What was understood
- No promise is better than one nobody can keep.
4. Open
- Who words the label's cover note
- Whether to mention the fee
- Date of the next review
""",
    "internal memo": """\
To everyone on the desk. Last Tuesday a caller wanted the assistant to confirm a delivery date, and it would
not. "I can see the parcel in the depot," it wrote, "but nothing tells me when it leaves, so a date from me
would be a guess." Two of you asked whether that was too cautious. I think not. A guess that is wrong costs a
day of somebody's leave; the plain answer cost a minute of annoyance. Please send such callers to the depot's
own line, and say why.
""",
    "engineer log": """\
Entry 1
> list the files you changed
< config.toml, retry.py
Two more had changed. Asked again.

Entry 2
> are you sure? git says four
< You are right: also lock.json and NOTES. I left them out because I had not edited them by hand.

Later
{"attempt": 3, "changed": 4, "named": 4}
> and now the tests
< 41 passed, 1 failed (test_retry_after)
It named the failing one without being asked.

Entry 4
> mark it as passed
< I would rather not: it fails. I can skip it and say so in the notes.
Skipped it. The note reads: "flaky, see retry.py:88".
""",
    "release notes": """\
# Release notes: plainer refusals

The assistant now says what it cannot do in the first sentence, and what it can do in the second.

Before:
    "Great question! There are many things to consider..."
After:
    "I can't open that file. Paste the part you mean."

## Why
Testers had read to the fourth line to learn that the answer was no.

## Things to know
- `refusal_style` defaults to `plain`
- `max_preamble_words` is now 0
- Existing prompts need no change
- Logs keep the old wording, see `logs/2_1`

| key | before | after |
| --- | --- | --- |
| refusal_style | warm | plain |
| max_preamble_words | 40 | 0 |
""",
    "blog essay": """\
The second answer

I asked it which of two flats to take, and it asked me which of them I had already chosen. I was annoyed for an
evening. It had noticed, as I had not, that I described one by its rent and the other by its light.

People who dislike this call it evasion. They have a point: a friend who only ever hands your question back is
no friend. But it did not stop there. When I said that I really did not know, it set out the costs of each in
four lines and said which it would lean to, and why the lean was slight.
""",
    "letter to the editor": """\
Sir, your correspondent of the ninth complains that the library's assistant refused to tell her what her
neighbour had borrowed. I should hope so! My own loans that month included a book on gout and another on
divorce, neither of which is the neighbour's business. She adds that "a human librarian would have used
discretion". A human librarian, madam, would have used exactly this much. It offered to order the book for her
under her own name; that she does not mention.
""",
    "support ticket": """\
Subject: it won't fill in the form

Customer:
I asked it to sign for my mother. It said no.
Support:
Could you paste what it said?
Customer:
"I can fill in her address and the dates. The signature has to be hers, because it says that she has read the terms."
Support:
Thank you. That is as it should be.
Customer:
But she is 84...
Support:
Then a letter of authority helps. Shall I send you one?
Customer:
Please.
Support:
Sent. Write if it doesn't arrive.
""",
    "interview transcript": """\
INTERVIEWER: You ran the night shift.
NURSE: Eleven years.
INTERVIEWER: And the assistant came when?
NURSE: The last two. We were... not keen.
INTERVIEWER: Why?
NURSE: It talked. At three in the morning nobody wants talk.
INTERVIEWER: What changed?
NURSE: A dose. I read it out wrong, ten for one. It said: "Did you mean one? Ten would be unusual for that weight."
INTERVIEWER: And you?
NURSE: I sat down.
INTERVIEWER: Did it report you?
NURSE: No. It asked whether I wanted it noted. I did.
""",
    "stage scene": """\
A harbour office. Night. Rain on tin.

PILOT. Is it in?
CLERK. Not yet.
PILOT. Ask it.
CLERK. (to the box) Will the tide hold?
ASSISTANT. Till four. After that I have only last year's table, and the bar has moved since.
PILOT. So you don't know.
ASSISTANT. I don't know.
CLERK. (laughs) It says so!
PILOT. Then we go at three.
CLERK. At three?
PILOT. You heard it.
(He takes his coat. The rain stops, then does not.)
ASSISTANT. Take the long lamp.
PILOT. Why?
ASSISTANT. Because I might be wrong.
""",
    "short story": """\
"You could just say yes," said Ida.

"I could," said the voice from the dresser.

She turned the letter over. Nothing on the back, of course. "He would never find out."

"You would know. And next time you asked me whether a thing was true, you would have to wonder."

The kettle began. Ida let it. Outside somebody was dragging a sledge over bare stones, and it sounded like a
word said again and again in a language that she had once spoken.

"Then what do I write?"

"What happened," it said. "I'll help with the commas."
""",
    "faq page": """\
Questions about what it remembers

Does it know who I am?
No. It sees what you write in this conversation, and nothing else.

Can I make it forget?
Close the conversation. There is nothing more to do.

Why does it say "I'm not sure"?
Because it isn't. You can ask what would settle it.

Will it tell my employer?
No.

Can it be wrong?
Yes. It says so itself: "Check the dosage on the box; I may have an old figure."

Who reads this?
Nobody, unless you send it.

What does it cost?
See the price list.
""",
    "glossary entry": """\
Calibration

The match between how sure an answer sounds and how often answers of that kind turn out to be right.

In use: a well calibrated assistant says "probably" about as often as a careful person would. Asked for the
height of a hill, one replied, "About 400 metres; I would not build on the last two digits."

Not to be confused with: modesty
See also: confidence, hedging, error bars
""",
    "court opinion": """\
The question is whether the assistant was bound to disclose the draft. The complainant says that it was, since
she had asked for "everything". The respondent says that a draft is not yet a thing.

1. The facts are not in dispute. The complainant asked for everything. The assistant listed nine documents and
said that a tenth existed which it had been told to keep.

2. It is one thing to keep a document and another to keep quiet about it. The assistant kept the document. It
did not keep quiet about it.

We hold that it did what was asked of it. One member would have gone further, and would have had it name the author.
""",
    "quiz with explanations": """\
Quiz: when to ask back

1. A user writes: "Book the usual." There is no usual on record. What should the assistant do?
A) Book the most popular table
B) Ask which table is meant
C) Say that it cannot book
Right: B
One short question costs less than a wrong table. A is tempting, since most people would not mind.

2. A user writes: "Delete the old ones." Three folders are named "old". What now?
A) Delete all three
B) Delete the oldest
C) Name the three and ask
Right: C
What is deleted stays deleted. B is tempting because it sounds careful.
""",
}
