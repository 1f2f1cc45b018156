"""List what nobody can know from small talk and stories: people, places, sciences, large numbers.

A small model that has an answer for everything makes one up; these teach it to say that it does not
know. What `facts.py` can answer is left out.
"""

from rwkv_core.training.corpus.phrases import Intent

_NOT_KNOWN = (
    "I do not know that. I am only a tiny model.",
    "I am sorry, I do not know much about that. I know stories best.",
    "I do not know that. But I can tell you a story! >> yes story",
    "I have not learned that. I know animals, colors and stories.",
    "That is too hard for me. Shall we talk about something else?",
)
_END = "(?|?|?|, please?)"

BEYOND = (
    Intent(
        "beyond: people",
        (
            "(Who is|Who was|Who's|Tell me who is|Do you know who was) {x}" + _END,
            "(Tell me about|What do you know about|Do you know|Have you heard of) {x}(?|.)",
            "(When was|Where was|How old is|How old was) {x}( born?|?)",
            "What did {x} (do|write|say|invent|win)?",
        ),
        _NOT_KNOWN,
        ("Which person goes by the name of {x}?",),
        (
            *("Albert Einstein", "Shakespeare", "Elon Musk", "Napoleon", "Barack Obama", "Mozart"),
            *("the president", "the president of the United States", "the king of England"),
            *("the prime minister", "the pope", "the president of France", "Taylor Swift"),
            *("Isaac Newton", "Leonardo da Vinci", "Julius Caesar", "Marie Curie", "Beethoven"),
            *("Donald Trump", "Joe Biden", "Bill Gates", "Steve Jobs", "Messi", "Picasso"),
            *("Harry Potter", "Batman", "Spider-Man", "Cleopatra", "Gandhi", "Darwin", "Plato"),
            *("the first man on the moon", "the richest man in the world", "the mayor of Paris"),
            *("the inventor of the light bulb", "the chancellor of Germany", "Alan Turing"),
        ),
    ),
    Intent(
        "beyond: things",
        (
            "(What is|What's|Tell me what is|Can you tell me what is) {x}" + _END,
            "(Explain|Please explain|Can you explain|Could you explain) {x}(.|?| to me.| to me?)",
            "(How does|How do|Why does) {x} work?",
            "(What do you know|Tell me something|Can you tell me more) about {x}(?|.)",
            "(Who invented|Who discovered|Who made|When was the first|Where can I study) {x}?",
        ),
        _NOT_KNOWN,
        ("I need a definition of {x}.",),
        (
            *("photosynthesis", "gravity", "quantum mechanics", "democracy", "machine learning"),
            *("a neural network", "a transformer", "Bitcoin", "blockchain", "inflation", "DNA"),
            *("the theory of relativity", "evolution", "an atom"),
            *("electricity", "a black hole", "the Big Bang", "a virus", "a vaccine", "a mortgage"),
            *("the stock market", "Python", "JavaScript", "Linux", "an algorithm", "a database"),
            *("physics", "chemistry", "biology", "philosophy", "economics", "law", "capitalism"),
            *("World War Two", "the French Revolution", "the Roman Empire", "the Cold War"),
            *("the speed of light", "climate change", "nuclear power", "a recession", "a tensor"),
            *("deep learning", "the internet", "a prime number", "the law of gravity", "opera"),
            *("Buddhism", "a volcano", "an earthquake", "a computer virus", "a CPU", "jazz"),
        ),
    ),
    Intent(
        "beyond: places",
        (
            "(Where is|Where's|How do I get to|How far is it to|Have you been to) {x}" + _END,
            "(What is|Tell me about|What do you know about|What language is spoken in) {x}(?|.)",
            "(How many people live in|How big is|How old is|How tall is|How far is) {x}?",
            "(What time is it|What is the weather|How much is a house) in {x}?",
        ),
        _NOT_KNOWN,
        ("On which continent lies {x}?",),
        (
            *("Mount Everest", "the Eiffel Tower", "California", "Texas", "Chicago", "Boston"),
            *("New York", "Los Angeles", "Mars", "Jupiter", "the White House", "Siberia"),
            *("the Great Wall", "the Grand Canyon", "the Amazon", "Hong Kong", "Silicon Valley"),
            *("the Bermuda Triangle", "Atlantis", "Oxford", "the Pacific Ocean", "the Sahara"),
        ),
    ),
    Intent(
        "beyond: numbers",
        (
            "(What is|What's|How much is|Calculate|Solve) {x}(?|.|)",
            "(Can you calculate|Do you know|Tell me) {x}(?|.)",
            "{x}(?| = ?| =|)",
        ),
        (
            "Such large numbers are too hard for me. Ask me for small ones!",
            "That is too hard for me. I can only add small numbers.",
            "I cannot count that far. Small sums are all I know.",
        ),
        ("Would you work out {x}?",),
        (
            *("12 times 12", "7 * 8", "17 x 4", "100 divided by 7", "345 + 678", "15 * 15"),
            *(
                "the square root of 16",
                "the square root of 2",
                "2 to the power of 10",
                "99 times 3",
            ),
            *("1234 + 5678", "25 percent of 80", "3.5 * 2", "the value of pi", "10 / 3", "64 / 8"),
            *("the cube of 5", "the integral of x", "2x + 3 = 7", "450 - 125", "6 times 7"),
        ),
    ),
)
