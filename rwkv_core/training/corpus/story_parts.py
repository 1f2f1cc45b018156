"""Word lists of the story generator: names, animals, things, places, feelings.

Names carry how many of 6,262 TinyStories they occur in, so that drawing by weight keeps the
distribution of the original stories; names with weight 1 to 3 are the long tail.
"""

Weighted = tuple[tuple[str, int], ...]


def _tail(names: str, weight: int = 2) -> Weighted:
    return tuple((name, weight) for name in names.split())


BOY_NAMES: Weighted = (
    ("Tim", 1081), ("Tom", 635), ("Ben", 368), ("Sam", 327), ("Max", 160), ("Bob", 115),
    ("Timmy", 101), ("Jack", 98), ("John", 51), ("Tommy", 38), ("Joe", 32), ("Billy", 31),
    ("Jimmy", 21), ("Andy", 18), ("Leo", 14), ("Peter", 12), ("Bobby", 11), ("Fred", 10),
    ("Jake", 10), ("Jerry", 9), ("Jim", 9), ("Danny", 8), ("Toby", 7), ("Charlie", 6),
    ("Frank", 6), ("Pete", 5), ("Tony", 5), ("Gary", 5), ("Oliver", 5), ("George", 5),
    ("Harry", 4), ("Mike", 4), ("Henry", 4), ("Dan", 4), ("Freddy", 3), ("Joey", 3),
    *_tail(
        "Adam Alan Albert Alfie Anton Archie Arthur Barry Brad Brian Caleb Carl Cody Colin "
        "Daniel Dave David Dylan Eddie Edward Eli Eric Ethan Evan Felix Finn Gavin Greg Gus Hank "
        "Hugo Ian Ivan Jason Jeff Jeremy Johnny Jonah Jordan Josh Justin Karl Ken Kevin Kyle "
        "Larry Liam Logan Luke Marco Martin Matt Mason Michael Milo Nate Nathan Ned Neil Nick Noah "
        "Omar Oscar Owen Paul Phil Ralph Ray Ricky Rob Robert Robin Ron Ryan Scott Sean Simon "
        "Stan Steve Ted Theo Tyler Victor Vincent Walter William Zach"
    ),
)  # fmt: skip
GIRL_NAMES: Weighted = (
    ("Lily", 854), ("Sue", 359), ("Mia", 195), ("Lucy", 183), ("Anna", 103), ("Amy", 97),
    ("Sara", 96), ("Sally", 73), ("Jane", 44), ("Sarah", 44), ("Molly", 34), ("Lila", 33),
    ("Jill", 25), ("Emma", 23), ("Jen", 22), ("Mary", 17), ("Bella", 15), ("Ella", 14),
    ("Jenny", 11), ("Lisa", 10), ("Ann", 9), ("Luna", 9), ("Lulu", 9), ("Emily", 8),
    ("Kate", 8), ("Milly", 7), ("Susie", 7), ("Penny", 7), ("Claire", 7), ("Polly", 7),
    ("Millie", 6), ("Lola", 6), ("Mandy", 6), ("Betty", 5), ("Alice", 5), ("Rachel", 5),
    ("Tina", 5), ("Tilly", 4), ("Rosie", 4), ("Julie", 4), ("Annie", 4), ("Lilly", 4),
    ("Liz", 4), ("Sophie", 4), ("Lizzie", 4), ("Gina", 4), ("Emmy", 3), ("Cindy", 3),
    ("Zara", 3), ("Maria", 3), ("Zoe", 3), ("Ruby", 3), ("Isabel", 3), ("Becky", 3),
    *_tail(
        "Abby Abigail Ada Alina Amelia Amanda Angela Anita Ava Beth Bonnie Brenda Carla Carol "
        "Cathy Chloe Clara Dana Debbie Diana Dora Elena Eliza Ellen Elsa Erin Esther Eva Evelyn "
        "Fiona Flora Gemma Gigi Greta Hana Hannah Heidi Helen Holly Irene Ivy Jackie Janet Jessica "
        "Jill Josie Julia Karen Katie Kelly Kim Lara Laura Lena Leah Linda Liza Lola Lottie Mabel "
        "Maggie Marie Maya Megan Mila Mira Nancy Nadia Naomi Natalie Nina Nora Olga Olivia Paula "
        "Rebecca Rita Rosa Sandy Sofia Sonia Sophia Stella Susan Tanya Tara Tess Vera Wendy Yuki"
    ),
)  # fmt: skip
PET_NAMES: Weighted = (
    ("Spot", 120), ("Max", 90), ("Buddy", 27), ("Fluffy", 40), ("Bobo", 27), ("Benny", 16),
    ("Momo", 12), ("Sammy", 11), ("Remy", 9), ("Rex", 7), ("Coco", 6), ("Binky", 5),
    ("Toto", 4), ("Pinky", 4), ("Rover", 4), ("Lucky", 4), ("Pip", 3), ("Pippin", 3),
    ("Ollie", 3), ("Ziggy", 3), ("Gigi", 3), ("Kiki", 3),
    *_tail(
        "Bingo Biscuit Bongo Boots Bubbles Chip Dash Dot Fuzzy Dusty Fifi Jojo Lolo Nibbles "
        "Peanut Patch Pogo Scout Scruffy Tiki Tippy Waffles Wiggles Zuzu"
    ),
)  # fmt: skip

# (animal, food it likes); the weights follow "a little X named" in TinyStories.
ANIMALS: tuple[tuple[str, str, int], ...] = (
    ("dog", "bones", 60), ("cat", "fish", 40), ("bird", "seeds", 30), ("bunny", "carrots", 25),
    ("rabbit", "carrots", 14), ("mouse", "cheese", 14), ("bear", "honey", 14), ("duck", "bread", 12),
    ("frog", "bugs", 12), ("squirrel", "nuts", 10), ("monkey", "bananas", 8), ("fox", "berries", 8),
    ("elephant", "leaves", 7), ("puppy", "bones", 7), ("kitten", "milk", 6), ("pig", "apples", 6),
    ("lion", "meat", 5), ("turtle", "leaves", 6), ("owl", "berries", 5), ("ant", "crumbs", 5),
    ("bee", "honey", 3), ("deer", "grass", 4), ("goat", "grass", 3), ("hen", "corn", 3),
    ("horse", "apples", 4), ("cow", "grass", 4), ("sheep", "grass", 3), ("tiger", "meat", 3),
    ("penguin", "fish", 3), ("panda", "leaves", 3), ("hedgehog", "berries", 2), ("mole", "worms", 2),
    ("hamster", "seeds", 3), ("raccoon", "berries", 2), ("giraffe", "leaves", 3),
    ("zebra", "grass", 2), ("koala", "leaves", 2), ("otter", "fish", 2), ("beaver", "leaves", 2),
    ("donkey", "carrots", 2), ("parrot", "nuts", 2), ("chick", "seeds", 2), ("lizard", "bugs", 2),
    ("dragon", "berries", 6), ("dinosaur", "leaves", 5), ("unicorn", "grass", 3),
    ("monster", "cookies", 3), ("fairy", "honey", 3), ("wolf", "meat", 3),
    ("butterfly", "honey", 3), ("snail", "leaves", 3), ("snake", "eggs", 2), ("spider", "bugs", 2),
    ("crocodile", "fish", 2), ("kangaroo", "grass", 2),
)  # fmt: skip
# People and others that stories are wished about, who live and talk as children do; m, f or either.
FIGURES: dict[str, str] = {
    "princess": "f", "queen": "f", "witch": "f", "mermaid": "f", "prince": "m", "king": "m",
    "wizard": "m", "knight": "m", "pirate": "", "robot": "", "ghost": "", "giant": "m",
    "alien": "", "astronaut": "", "superhero": "", "clown": "", "farmer": "", "doctor": "",
    "baker": "", "pilot": "", "teacher": "", "ninja": "", "detective": "", "cowboy": "m",
}  # fmt: skip
# Small animals a hero can carry home, hear in the dark or help.
SMALL_ANIMALS = (
    "bird", "bird", "bird", "bird", "cat", "dog", "bunny", "mouse", "squirrel", "kitten", "puppy", "duck", "frog", "turtle", "hedgehog",
    "owl", "rabbit", "cat", "chick", "mole", "lamb", "hamster", "lizard",
)  # fmt: skip
# noun -> how it is used: the key of VERBS below.
THINGS: tuple[tuple[str, str], ...] = tuple(
    (noun, use)
    for use, nouns in (
        (
            "play with",
            "ball,ball,ball,ball,ball,ball,toy car,toy car,doll,doll,toy train,toy truck,teddy bear,toy boat,top,puzzle,toy robot,"
            "rope,balloon,hoop,toy plane,toy bus,drum,yo-yo,puppet,toy duck,toy horse,bucket,"
            "marble,toy dinosaur,block,stick,bow,net,spinner,game,toy rocket,wand,whistle",
        ),
        ("fly", "kite,paper plane"),
        ("ride", "bike,scooter,sled,wagon"),
        (
            "wear",
            "hat,scarf,coat,crown,dress,shirt,cap,ring,necklace,mask,cape,sweater,belt,bow tie",
        ),
        ("read", "book,map,comic book,letter"),
        (
            "look at",
            "shell,stone,gem,picture,coin,feather,flower,star,leaf,pearl,mirror,lamp,"
            "clock,medal,key,bell,button,seed,globe,vase,photo,ribbon,candle,statue,rock,jewel",
        ),
        (
            "use",
            "spoon,umbrella,cup,bag,basket,brush,pen,pencil,crayon,blanket,pillow,bottle,jar,"
            "fan,hammer,broom,bowl,shovel,flashlight,camera,backpack,box",
        ),
        ("play", "guitar,flute,horn,violin"),
    )
    for noun in nouns.split(",")
)
# base -> (past, gerund)
VERBS: dict[str, tuple[str, str]] = {
    "play with": ("played with", "playing with"),
    "fly": ("flew", "flying"),
    "ride": ("rode", "riding"),
    "wear": ("wore", "wearing"),
    "read": ("read", "reading"),
    "look at": ("looked at", "looking at"),
    "use": ("used", "using"),
    "play": ("played", "playing"),
    "eat": ("ate", "eating"),
}
COLORS = ("red", "blue", "green", "yellow", "pink", "purple", "orange", "white", "black", "brown",
          "gray")  # fmt: skip
THING_ADJECTIVES = (
    "big", "big", "big", "big", "big", "big", "big", "little", "small", "new", "new", "special", "shiny", "shiny", "pretty",
    "favorite", "old", "beautiful", "nice", "tiny", "colorful", "bright", "magic",
    "fancy", "funny", "lovely", "huge", "strange", "unusual", "rare", "light", "heavy",
    "perfect", "cute", "amazing", "wonderful", "clean", "simple", "ordinary", "elegant",
    "expensive", "cheap", "unique", "fragile", "gold", "silver", "great", "cool", "valuable",
)  # fmt: skip
HERO_ADJECTIVES = (
    "little", "little", "little", "little", "little", "little", "little", "small", "happy",
    "curious", "kind", "brave", "shy", "playful", "friendly", "nice", "cheerful", "smart", "quiet",
    "busy", "clever", "gentle", "young", "lively", "funny", "polite", "silly", "adventurous",
    "creative", "energetic", "careful", "clumsy", "lonely", "jolly", "honest", "helpful", "lazy",
    "hungry", "restless", "impatient", "good", "naughty", "independent", "persistent",
)  # fmt: skip
# (singular, plural or None when it cannot be counted)
FOODS: tuple[tuple[str, str], ...] = (
    ("cookie", "cookies"), ("cake", "cakes"), ("apple", "apples"), ("sandwich", "sandwiches"),
    ("pie", "pies"), ("banana", "bananas"), ("muffin", "muffins"), ("candy", "candies"),
    ("carrot", "carrots"), ("pancake", "pancakes"), ("orange", "oranges"), ("pear", "pears"),
    ("cupcake", "cupcakes"), ("pizza", "pizzas"), ("donut", "donuts"), ("peach", "peaches"),
    ("strawberry", "strawberries"), ("lollipop", "lollipops"), ("tomato", "tomatoes"),
    ("potato", "potatoes"), ("plum", "plums"), ("cherry", "cherries"), ("lemon", "lemons"),
    ("berry", "berries"), ("nut", "nuts"), ("melon", "melons"), ("mango", "mangoes"),
)  # fmt: skip
FRUITS: tuple[tuple[str, str], ...] = (
    ("apple", "apples"), ("apple", "apples"), ("pear", "pears"), ("peach", "peaches"),
    ("orange", "oranges"), ("banana", "bananas"), ("cherry", "cherries"), ("plum", "plums"),
    ("mango", "mangoes"), ("nut", "nuts"), ("coconut", "coconuts"),
)  # fmt: skip
BAKED: tuple[tuple[str, str], ...] = (
    ("cake", "cakes"), ("pie", "pies"), ("cookie", "cookies"), ("muffin", "muffins"),
    ("pancake", "pancakes"), ("cupcake", "cupcakes"),
)  # fmt: skip
# (place, "in"/"at"/"on"), for everyone and for children only
PLACES: tuple[tuple[str, str], ...] = (
    ("park", "in"), ("park", "in"), ("park", "at"), ("garden", "in"), ("forest", "in"),
    ("yard", "in"), ("woods", "in"), ("field", "in"), ("beach", "at"), ("farm", "on"),
    ("meadow", "in"), ("pond", "at"), ("lake", "at"), ("river", "at"), ("hill", "on"),
    ("jungle", "in"),
)  # fmt: skip
WILD_PLACES: tuple[tuple[str, str], ...] = (
    ("forest", "in"),
    ("woods", "in"),
    ("field", "in"),
    ("beach", "at"),
    ("meadow", "in"),
    ("lake", "at"),
    ("river", "at"),
    ("hill", "on"),
    ("jungle", "in"),
)
CHILD_PLACES: tuple[tuple[str, str], ...] = (
    ("park", "in"), ("park", "in"), ("park", "at"), ("garden", "in"), ("yard", "in"),
    ("playground", "at"), ("school", "at"), ("zoo", "at"), ("beach", "at"), ("store", "in"),
    ("library", "in"), ("market", "at"), ("fair", "at"), ("farm", "on"), ("lake", "at"),
    ("forest", "in"), ("field", "in"),
)  # fmt: skip
# Where a lost thing or a small animal can be outside.
OUTSIDE_SPOTS = (
    "under a big tree", "behind a rock", "under a bush", "behind a bush", "in the tall grass",
    "under a bench", "in a hole", "next to a log", "under some leaves", "behind a tree",
    "under a log", "near the gate", "between two rocks", "in a pile of leaves", "behind a fence",
    "next to a puddle", "under a big leaf", "near a small bridge", "behind a wall",
)  # fmt: skip
INSIDE_SPOTS = (
    "under the bed", "behind the door", "in the closet", "under the table", "in the kitchen",
    "behind the couch", "under the chair", "in a big box", "in the bathroom", "under the blanket",
    "behind the curtain", "in the basket", "on the shelf", "behind the lamp", "in the attic",
)  # fmt: skip
LOVES = (
    "play outside", "play outside", "play in the park", "sing", "dance", "run and jump", "explore",
    "play with {his} friends", "play with {his} toys", "help people", "play in the mud", "paint",
    "run and play all day", "look at the clouds", "climb trees", "jump in puddles", "swim",
    "play in the sun", "eat yummy food", "laugh and play", "make new friends", "tell jokes",
    "look for bugs", "collect leaves", "watch the birds", "explore and find new things",
    "listen to stories", "play games", "play hide and seek", "run fast", "smell the flowers",
    "go on adventures", "learn new things", "roll down the hill", "count the stars", "splash in the water",
    "help {his} {mom}", "dig in the sand", "walk in the woods", "play in the garden",
)  # fmt: skip
CHILD_LOVES = (
    "draw", "read books", "color pictures", "ride {his} bike", "build things", "bake with {his} {mom}",
    "go to school", "play with blocks", "wear funny hats", "go to the zoo", "build towers",
    "play soccer", "pretend", "dress up", "cook",
)  # fmt: skip
FEELINGS_GOOD = ("happy", "happy", "happy", "very happy", "very happy", "so happy", "so happy", "excited",
                 "very excited", "proud", "glad", "joyful", "delighted")  # fmt: skip
FEELINGS_BAD = ("sad", "sad", "very sad", "very sad", "so sad", "upset", "worried", "very upset", "unhappy",
                "disappointed")  # fmt: skip
TIMES = ("One day", "One day", "One day", "One day", "One day", "One day", "One sunny day", "One morning",
         "One afternoon", "One sunny morning", "One cold day", "One hot day")  # fmt: skip
HOMES = (
    "in a small house", "in a big house", "in a small town", "in a little village", "in a quiet village",
    "in a big city", "in a small house near the woods", "in a house by the sea", "on a farm",
)  # fmt: skip
WILD_HOMES = (
    "in a big forest", "in a green forest", "in a small forest", "in the woods", "near a pond",
    "in a big tree", "in a sunny meadow", "on a big hill", "near a river", "in a jungle",
)  # fmt: skip

_LIGHT_USES = ("play with", "fly", "wear", "read", "look at", "use")
_BREAKABLE = frozenset(
    [
        "toy car",
        "doll",
        "toy train",
        "toy truck",
        "toy boat",
        "toy robot",
        "toy plane",
        "drum",
        "kite",
        "crown",
        "necklace",
        "mask",
        "picture",
        "mirror",
        "lamp",
        "clock",
        "globe",
        "vase",
        "statue",
        "candle",
        "cup",
        "umbrella",
        "bottle",
        "jar",
        "bowl",
        "pen",
        "pencil",
        "fan",
        "camera",
        "flashlight",
        "guitar",
        "flute",
        "violin",
        "toy dinosaur",
        "wand",
        "shell",
        "feather",
    ]
)
# What a plot can be about -> its things.
THING_CLASSES: dict[str, tuple[str, ...]] = {
    "any": tuple(noun for noun, _ in THINGS),
    "two": tuple(noun for noun, _ in THINGS),
    "none": tuple(noun for noun, _ in THINGS),
    "light": tuple(noun for noun, use in THINGS if use in _LIGHT_USES),
    "breakable": tuple(noun for noun, _ in THINGS if noun in _BREAKABLE),
    "food": tuple(noun for noun, _ in FOODS),
    "fruit": tuple(noun for noun, _ in FRUITS),
    "baked": tuple(noun for noun, _ in BAKED),
    "meal": (
        "cake",
        "pie",
        "sandwich",
        "muffin",
        "pancake",
        "pizza",
        "donut",
        "melon",
        "mango",
        "apple",
        "banana",
        "pear",
        "peach",
        "orange",
    ),
}
# (what the hero wants, why not, what goes wrong)
NAUGHTY: tuple[tuple[str, str, str], ...] = (
    ("climb the tall tree", "It is too high.", "{H} could not get down from the tree!"),
    ("swim in the deep lake", "The water is deep and cold.", "the water was too deep, and {H} could not swim back!"),
    ("walk in the dark woods", "You can get lost there.", "it got dark, and {H} did not know the way home!"),
    ("play in the old house", "It is not safe.", "the door closed, and {H} could not get out!"),
    ("cross the big road", "The cars are fast.", "a big car came very fast!"),
    ("go into the dark cave", "It is not safe in there.", "there was a loud noise, and {H} fell into a hole!"),
    ("jump over the fence", "You will get hurt.", "{H} got stuck on the fence!"),
    ("walk on the ice", "The ice is thin.", "the ice made a loud crack!"),
    ("sail on the river alone", "The river is very fast.", "the little boat went faster and faster!"),
    ("play with the big fire", "Fire is hot.", "the fire got bigger and bigger!"),
    ("touch the bees", "They can sting you.", "the bees got angry and flew after {H}!"),
    ("go up the big hill", "The rocks can fall.", "{H} hurt one foot on a sharp rock!"),
    ("feed the wild bear", "It can bite.", "the bear stood up and let out a loud roar!"),
    ("ride down the steep hill", "It is too fast for you.", "{H} went too fast and could not stop!"),
    ("play in the deep snow", "It is too cold today.", "{H} got stuck in the snow!"),
    ("eat the red mushrooms", "They can make you sick.", "{H} got very sick!"),
)  # fmt: skip
KEY_SPOTS = ("under a stone", "on a branch", "in a nest", "under a leaf", "in the mud", "behind a root",
             "next to a flower", "under an old hat", "in the sand", "on a rock")  # fmt: skip
SHELTERS = ("a small cave", "an old barn", "a little hut", "a hollow tree", "an empty house", "a big tent",
            "an old cabin", "a tree house", "a tunnel", "a little shed")  # fmt: skip
THIEVES: tuple[tuple[str, str], ...] = (
    ("bird", "I need it for my nest."), ("monkey", "I only wanted to play."),
    ("dog", "I thought you were playing with me."), ("squirrel", "I have no toys."),
    ("fox", "I wanted to show it to my babies."), ("goat", "I thought it was food."),
    ("raccoon", "I like pretty things so much."), ("crow", "It was so pretty."),
    ("puppy", "I was bored and alone."), ("mouse", "I wanted to make a bed for my babies."),
    ("rabbit", "I have no friends to play with."), ("cat", "I just wanted a friend."),
)  # fmt: skip
# Slots that are drawn alone: slot -> what it can be.
SINGLE_WORDS: dict[str, tuple[str, ...]] = {
    "blanket": ("blanket", "big blanket", "red blanket", "soft blanket", "mat", "towel"),
    "prize": ("medal", "gold medal", "prize", "big trophy", "ribbon", "shiny cup", "crown"),
    "nervous": ("nervous", "scared", "worried", "a little afraid"),
    "rock": ("rock", "log", "root", "stone", "stick", "branch"),
    "butterfly": ("butterfly", "blue butterfly", "pretty bird", "bee", "yellow butterfly",
                  "dragonfly", "little bird", "firefly", "colorful butterfly"),
    "wise": ("wise old", "kind", "big", "friendly", "gentle", "clever", "gray"),
    "guide": ("owl", "deer", "bear", "fox", "rabbit", "turtle", "squirrel", "wolf", "hedgehog",
              "horse", "badger"),
    "mark": ("tall tree", "big rock", "old bridge", "little stream", "red flag", "small pond",
             "white fence", "old mill", "big hill", "stone wall", "green gate"),
    "work": ("washed cars", "watered the plants", "carried bags", "fed the chickens",
             "picked apples", "swept the street", "cleaned windows", "walked the dogs",
             "pulled weeds in the gardens", "sold lemonade", "picked up the leaves"),
    "jar": ("jar", "small box", "piggy bank", "big jar", "little bag", "tin can", "sock"),
    "child": ("little girl", "little boy", "small girl", "small boy", "girl in a red hat",
              "boy in a blue coat", "girl with long hair", "boy with glasses"),
}  # fmt: skip
