"""Expected values of src/graders/metrics: sacrebleu, NLTK, rouge-score and rapidfuzz over varied pairs of texts.

    python scripts/golden/text_metrics.py > tests/graders/golden/text-metrics.json
    (pip install sacrebleu==2.6.0 nltk==3.10.4 rouge-score==0.1.2 rapidfuzz==3.14.6)
"""

import json
import random
import sys
from importlib.metadata import version

from nltk.stem.porter import PorterStemmer
from nltk.translate.gleu_score import sentence_gleu
from nltk.translate.meteor_score import single_meteor_score
from rapidfuzz import fuzz
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu import sentence_bleu

random.seed(11)

pairs = [
    ("Two young men are playing football on a wet field.", "Two boys play football on the wet grass."),
    ("A man in an orange hat is staring at something.", "A man with an orange hat stares at something."),
    ("People are repairing the roof of a house.", "People fixing the roof of a house."),
    ("A little girl climbs into a wooden playhouse.", "A little girl climbing into a playhouse made of wood."),
    ("The dogs were running happily through the shallow river.", "A dog runs through a river, happily."),
    ("Five people wearing winter jackets stand in the snow.", "Five persons in winter jackets and helmets are standing in the snow!"),
    ("A woman holds a bowl of food in her kitchen.", "In her kitchen, a woman is holding a bowl full of food."),
    ("The mechanics carefully adjusted the engine's replacement valves.", "Mechanics adjust the valves replaced in engines, with care."),
    ("Her generosity and hopefulness were traditionally admired.", "Traditional admiration for her generous, hopeful nature."),
    ("Sensitivity analyses rationalize the operators' conditional decisions.", "A sensitive analysis of operational decisions and rational conditions."),
    ("He was lying; the skies were dying out, the innings proceeded.", "He lies, the sky dies, and the inning proceeds."),
    ("It costs $1,234.56 - about 3.5% more than in 2019-2020.", "It costs 1234.56 dollars, about 3.5 % more than 2019 - 2020."),
    ("Call 555-0199, ext. 7 (before 5 p.m.); ask for \"Joe\".", "call 555 0199 ext 7 before 5pm and ask for Joe"),
    ("x = f(a[i], b{j}) ^ 2; // e.g. `code` ~ here", "x = f(a[i], b[j])**2  # code here"),
    ("AT&amp;T said &quot;no&quot; &lt;again&gt;", "AT&T said \"no\" <again>"),
    ("a <skipped> b hyphen-\nated words\nover lines", "a b hyphenated words over lines"),
    ("Ein kleines Mädchen klettert in ein Spielhaus aus Holz.", "Ein Mädchen, klein, klettert ins hölzerne Spielhaus."),
    ("Un homme à l'écharpe déchirée regarde l'océan.", "L'homme regarde la mer ; son écharpe est déchirée."),
    ("Двое молодых людей стоят возле дома.", "Молодые люди стоят у большого дома, двое."),
    ("ΟΔΥΣΣΕΥΣ έπλευσε προς την ΙΘΑΚΗΣ", "οδυσσευς επλευσε προς την ιθακης"),
    ("小さな女の子が木の家に登る。", "女の子が木の小さな家に登っています。"),
    ("一个 小 女孩 爬进 木屋", "小 女孩 爬进 了 一个 木屋"),
    ("İstanbul'da IŞIK yandı", "istanbul'da ışık yandı"),
    ("Good job 😀 😀 team! 👩‍👩‍👧 🎉🎉", "good job 😀 team 🎉 👩‍👩‍👧"),
    ("naïve café résumé", "naive cafe resume"),
    ("the the the the the the the", "the cat is on the mat"),
    ("yes", "no"),
    ("yes", "yes"),
    ("Yes.", "yes"),
    ("", ""),
    ("", "something"),
    ("something", ""),
    ("   \t\n ", "blank"),
    ("...", "..."),
    ("...", "!!!"),
    ("a b", "a b"),
    ("a b c", "c b a"),
    ("one two three four", "one two three four"),
    ("1 2 3 4 5", "1 2 3 4 6"),
    ("3.14", "3,14"),
    ("ends with hyphen-\n", "ends with hyphen-"),
    ("no\u00a0break\u2003space\u3000wide\u0085next\u001cfile\ufeffmark", "no break space wide next file mark"),
    ("tabs\tand\r\nlines\x0bfeeds\x0cforms", "tabs and lines feeds forms"),
    ("agreed feed bled sing hopping hissing falling filing failing fizzed", "agree feeds bleed sings hop hiss fall file fail fizz"),
    ("dies died flies tried spied ties enjoy enjoyment happy sky spy", "die dye fly try spies tie enjoying enjoys happily skies spies"),
    ("geology geological theology radically really fully truthfully", "geologic geologist theological radical real full truthful"),
    ("controlling rolled probate rate cease adoption irritant homologous effective", "control roll probates rates ceased adopt irritate homolog effect"),
]

sentences = sorted({text for pair in pairs for text in pair if len(text.split()) > 3})
vocabulary = sorted({word for text in sentences for word in text.split()})


def edited(text):
    """The text after a few random edits of its words."""
    words = text.split()
    for _ in range(random.randrange(1, 6)):
        place = random.randrange(len(words))
        edit = random.randrange(7)
        if edit == 0 and len(words) > 1:
            del words[place]
        elif edit == 1:
            words.insert(place, random.choice(vocabulary))
        elif edit == 2:
            words[place] = words[place].upper()
        elif edit == 3:
            words[place] += random.choice(["s", "ed", "ing", ",", ".", "ly", "!", "-9", "."])
        elif edit == 4:
            other = random.randrange(len(words))
            words[place], words[other] = words[other], words[place]
        elif edit == 5:
            words.insert(place, words[place])
        else:
            words[place] = random.choice(vocabulary)
    return " ".join(words)


for text in sentences:
    pairs += [(edited(text), text), (edited(text), edited(text))]
for _ in range(40):
    first, second = random.sample(sentences, 2)
    pairs.append((f"{first} {second}", edited(f"{second} {first}")))
for _ in range(4):
    words = [random.choice(vocabulary) for _ in range(300)]
    pairs.append((" ".join(words), edited(edited(" ".join(words[20:] + words[:10])))))


class NoSynonyms:
    """Instead of WordNet: METEOR with the matches of words and of stems only."""

    def synsets(self, _):
        return []


names = [f"rouge{n}" for n in (1, 2, 3, 4, 5)] + ["rougeL"]
plain, stemmed = RougeScorer(names), RougeScorer(names, use_stemmer=True)


def values(output, reference):
    rouge, stem = plain.score(reference, output), stemmed.score(reference, output)
    result = {
        "bleu": sentence_bleu(output, [reference]).score / 100,
        "gleu": sentence_gleu([reference.split()], output.split()),
        "meteor": single_meteor_score(reference.split(), output.split(), wordnet=NoSynonyms()),
        "fuzzy_match": fuzz.ratio(output, reference) / 100,
    }
    for name in names:
        key = f"rouge_{name[5:].lower()}"
        result[key] = rouge[name].fmeasure
        result[f"{key}_stemmer"] = stem[name].fmeasure
    return {key: round(float(value), 12) for key, value in result.items()}


stemmer = PorterStemmer()
suffixes = """s es ies ied eed ed ing y ational tional enci anci izer bli abli alli entli eli ousli ization ation ator alism
iveness fulness ousness aliti iviti biliti fulli logi icate ative alize iciti ical ful ness al ance ence er ic able ible ant
ement ment ent ion sion tion ou ism ate iti ous ive ize e ll lle""".split()
roots = "tr tree oats troubl privat hop fall fil y sy toy cre conflat siz commun radic hope 9 ä".split()
words = {word.lower() for text in sentences for word in text.split()} | {root + end for root in roots for end in suffixes}
words |= {"skies", "news", "howe", "exceed", "yyyy", "syzygy", "by", "as", "is"}
json.dump(
    {
        "source": ", ".join(f"{name} {version(name)}" for name in ("sacrebleu", "nltk", "rouge-score", "rapidfuzz")),
        "pairs": [{"output": output, "reference": reference, **values(output, reference)} for output, reference in pairs],
        "stems": {word: stemmer.stem(word) for word in sorted(words)},
    },
    sys.stdout,
    ensure_ascii=False,
)
print()
