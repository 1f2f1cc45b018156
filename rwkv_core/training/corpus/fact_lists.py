"""List the facts about the world that a small child knows."""

import random
from collections.abc import Callable, Mapping

OPPOSITES = (
    *("big small", "hot cold", "up down", "happy sad", "fast slow", "day night", "old new"),
    *("open closed", "wet dry", "tall short", "hard soft", "full empty", "light dark", "good bad"),
    *("near far", "loud quiet", "clean dirty", "early late", "wide narrow", "thick thin"),
    *("strong weak", "rich poor", "young old", "high low", "left right", "in out", "on off"),
    *(
        "yes no",
        "black white",
        "first last",
        "front back",
        "heavy light",
        "sweet sour",
        "true false",
    ),
    *("win lose", "buy sell", "come go", "give take", "start stop", "push pull", "love hate"),
    *("laugh cry", "remember forget", "find lose", "awake asleep", "alive dead", "brave afraid"),
    *(
        "kind mean",
        "easy difficult",
        "rough smooth",
        "deep shallow",
        "sharp dull",
        "inside outside",
    ),
    *("above below", "before after", "always never", "more less", "many few", "summer winter"),
    *("north south", "east west", "friend enemy", "beginning end", "question answer", "top bottom"),
    *("begin end", "long short", "warm cool", "bright dim", "lucky unlucky", "safe dangerous"),
)
# fmt: off
SOUNDS: Mapping[str, str] = {
    "dog": "woof", "cat": "meow", "cow": "moo", "duck": "quack", "sheep": "baa", "pig": "oink",
    "horse": "neigh", "frog": "ribbit", "lion": "roar", "bee": "buzz", "mouse": "squeak",
    "snake": "hiss", "rooster": "cock-a-doodle-doo", "bird": "tweet", "wolf": "howl",
    "chick": "peep", "hen": "cluck", "donkey": "hee-haw", "goose": "honk", "bear": "growl",
    "crow": "caw", "turkey": "gobble", "monkey": "ooh ooh", "goat": "maa", "dove": "coo",
}
# fmt: on
# fmt: off
COLOR_OF: Mapping[str, str] = {
    "the sky": "blue", "the grass": "green", "snow": "white", "a banana": "yellow",
    "the sun": "yellow", "a strawberry": "red", "a carrot": "orange", "the night sky": "black",
    "a leaf": "green", "milk": "white", "an elephant": "gray", "a frog": "green",
    "a lemon": "yellow", "a tomato": "red", "the sea": "blue", "blood": "red", "coal": "black",
    "a cherry": "red", "a pumpkin": "orange", "chocolate": "brown", "a flamingo": "pink",
    "a polar bear": "white", "a fire truck": "red", "an orange": "orange", "a cucumber": "green",
    "a pig": "pink", "gold": "yellow", "salt": "white", "mud": "brown", "a crow": "black",
    "a school bus": "yellow", "broccoli": "green", "a plum": "purple", "butter": "yellow",
}
# fmt: on
# Animals in the plural, what they eat, where they live, and the baby's name ("" if not asked).
ANIMAL_LIFE = (
    ("cows", "grass", "on farms", "calf"),
    ("horses", "grass and hay", "on farms", "foal"),
    ("rabbits", "grass and carrots", "in holes under the ground", "bunny"),
    ("cats", "fish and meat", "in houses with people", "kitten"),
    ("dogs", "meat and dog food", "in houses with people", "puppy"),
    ("bears", "berries, fish and honey", "in the forest", "cub"),
    ("lions", "meat", "in Africa", "cub"),
    ("birds", "seeds and worms", "in nests in the trees", "chick"),
    ("fish", "small plants and tiny animals", "in the water", ""),
    ("monkeys", "fruit and leaves", "in the jungle", ""),
    ("frogs", "flies and other insects", "near ponds", "tadpole"),
    ("ducks", "plants and small insects", "on ponds and lakes", "duckling"),
    ("sheep", "grass", "on farms", "lamb"),
    ("pigs", "nearly everything", "on farms", "piglet"),
    ("penguins", "fish", "in cold places near the sea", "chick"),
    ("pandas", "bamboo", "in China", "cub"),
    ("koalas", "leaves", "in trees in Australia", "joey"),
    ("kangaroos", "grass", "in Australia", "joey"),
    ("bees", "the sweet juice of flowers", "in a hive", ""),
    ("owls", "mice", "in trees", "owlet"),
    ("wolves", "meat", "in the forest", "pup"),
    ("goats", "grass and leaves", "on farms and mountains", "kid"),
    ("elephants", "grass and leaves", "in Africa and Asia", "calf"),
    ("giraffes", "leaves from tall trees", "in Africa", "calf"),
    ("camels", "dry plants", "in the desert", "calf"),
    ("whales", "fish and tiny sea animals", "in the sea", "calf"),
    ("mice", "seeds and cheese", "in small holes", ""),
    ("squirrels", "nuts", "in trees", ""),
    ("spiders", "flies", "in webs", ""),
    ("polar bears", "seals and fish", "on the ice in the north", "cub"),
    ("deer", "grass and leaves", "in the forest", "fawn"),
    ("swans", "water plants", "on lakes", "cygnet"),
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
RHYMES = (
    *("cat hat bat mat rat", "dog log frog fog", "tree bee sea key", "moon spoon balloon noon"),
    *("star car jar far", "cake lake snake", "house mouse", "boat goat coat", "night light kite"),
    *("ball tall wall fall", "bear chair hair pear", "ring king sing wing", "sun fun run bun"),
    *("day play way say", "book cook look hook", "rain train plane brain", "fish dish wish"),
    *("nose rose toes", "bed red head", "box fox socks", "duck truck luck", "hen pen ten men"),
    *("sky fly pie high", "snow go slow toe", "bell shell well", "sand hand land", "pig wig dig"),
)
KINDS_OF_THING: Mapping[str, str] = {
    "fruit": "apple banana pear orange cherry grape plum peach mango kiwi lemon melon",
    "animal": "dog cat horse lion fox bear owl rabbit duck tiger wolf elephant frog monkey",
    "color": "red blue green yellow purple orange pink white black brown",
    "vegetable": "carrot potato tomato onion pea bean cabbage cucumber pumpkin",
    "bird": "owl duck swan eagle robin parrot crow penguin sparrow",
    "flower": "rose tulip daisy lily sunflower violet",
    "tree": "oak pine birch maple willow palm",
    "toy": "ball doll kite train puzzle drum yo-yo robot",
    "drink": "water milk tea juice lemonade cocoa",
    "season": "spring summer autumn winter",
    "shape": "circle square triangle star rectangle",
    "number": "one two three four five six seven eight nine ten",
    "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "month": "January February March April May June July August October December",
    "country": "France Spain Italy Japan India Egypt Brazil Canada Kenya",
    "city": "Paris London Rome Tokyo Cairo Berlin Madrid",
    "insect": "bee ant fly butterfly beetle ladybug",
    "planet": "Earth Mars Venus Jupiter Saturn",
}
# fmt: off
CAPITALS: Mapping[str, str] = {
    "France": "Paris", "England": "London", "Italy": "Rome", "Germany": "Berlin",
    "Spain": "Madrid", "Portugal": "Lisbon", "Austria": "Vienna", "Norway": "Oslo",
    "Japan": "Tokyo", "China": "Beijing", "Egypt": "Cairo", "Greece": "Athens", "Poland": "Warsaw",
    "Russia": "Moscow", "Sweden": "Stockholm", "Ireland": "Dublin", "Kenya": "Nairobi",
    "Canada": "Ottawa", "Cuba": "Havana", "Peru": "Lima", "India": "New Delhi", "Ukraine": "Kyiv",
    "Finland": "Helsinki", "Denmark": "Copenhagen", "Hungary": "Budapest", "Turkey": "Ankara",
    "Belgium": "Brussels", "Chile": "Santiago", "Australia": "Canberra", "South Korea": "Seoul",
    "Iceland": "Reykjavik", "Thailand": "Bangkok",
}
# fmt: on
# fmt: off
USES: Mapping[str, str] = {
    "spoon": "eat soup", "knife": "cut bread", "pen": "write", "key": "open a door",
    "umbrella": "stay dry in the rain", "clock": "see what time it is", "bed": "sleep",
    "cup": "drink", "broom": "sweep the floor", "ladder": "climb up", "boat": "go over water",
    "towel": "get dry", "lamp": "make light", "hammer": "hit nails", "chair": "sit",
    "phone": "call people", "oven": "bake cakes", "brush": "clean or paint", "bag": "carry things",
    "map": "find the way", "coat": "keep warm", "soap": "wash our hands",
    "mirror": "see ourselves", "camera": "take photos", "needle": "sew", "pillow": "rest our head",
    "bucket": "carry water", "fork": "eat", "car": "drive to places", "bell": "make a sound",
    "basket": "carry fruit", "shovel": "dig a hole", "bridge": "cross a river",
    "toothbrush": "clean our teeth",
}
# fmt: on
_BY_SIZE = (
    *("ant", "bee", "mouse", "frog", "rabbit", "cat", "sheep", "lion", "horse", "elephant"),
    *("house", "mountain"),
)
_BY_SPEED = ("snail", "turtle", "duck", "dog", "horse", "car", "train", "plane", "rocket")
_BY_WEIGHT = ("feather", "coin", "apple", "book", "chair", "bike", "car", "truck", "ship")


def _ordered(
    words: tuple[str, ...], more: str, less: str
) -> Callable[[random.Random], tuple[str, str, str, str]]:
    def draw(rng: random.Random) -> tuple[str, str, str, str]:
        first, second = sorted(rng.sample(range(len(words)), 2))
        return words[first], words[second], more, less

    return draw


# Each draws (lesser thing, greater thing, word for greater, word for lesser).
COMPARISONS = (
    _ordered(_BY_SIZE, "bigger", "smaller"),
    _ordered(_BY_SPEED, "faster", "slower"),
    _ordered(_BY_WEIGHT, "heavier", "lighter"),
)
QUESTIONS = (
    ("How many legs does a (dog|cat|cow|horse|lion|pig) have?", "It has four legs."),
    ("How many legs does a (bird|duck|chicken|parrot|penguin) have?", "It has two legs."),
    ("How many legs does (a spider|an octopus) have?", "It has eight legs."),
    ("How many legs does (a bee|an ant|a fly|an insect) have?", "It has six legs."),
    ("How many legs does a (snake|fish|worm) have?", "It has no legs."),
    ("How many wheels does a (car|bus) have?", "It has four wheels."),
    ("How many wheels does a bike have?", "A bike has two wheels."),
    ("How many (days are in|days has) a week?", "There are seven days in a week."),
    ("How many (months are in|months has) a year?", "There are twelve months in a year."),
    ("How many (hours are in|hours has) a day?", "There are twenty-four hours in a day."),
    ("How many (fingers|toes) do (you|people|we) have?", "People have ten."),
    ("How many sides does a triangle have?", "A triangle has three sides."),
    ("How many sides does a square have?", "A square has four sides."),
    (
        "(Is a ball round|What shape is a ball|What shape is the sun)?",
        "It is round, like a circle.",
    ),
    ("What shape (has|with) four (equal |)sides(| is there)?", "A square has four sides."),
    ("What (are the seasons|seasons are there)?", "Spring, summer, autumn and winter."),
    ("(What|Which) season comes after winter?", "Spring comes after winter."),
    ("(What|Which) season comes after spring?", "Summer comes after spring."),
    ("(What|Which) season comes after summer?", "Autumn comes after summer."),
    ("(What|Which) season comes after autumn?", "Winter comes after autumn."),
    ("When (does it snow|is it cold)?", "It is cold in winter, and sometimes it snows."),
    ("When is it (hot|warm)?", "It is warm in summer."),
    ("What (do bees make|is made by bees)?", "Bees make honey."),
    ("What (do we use|do you need|do people use) to see?", "We use our eyes to see."),
    ("What do (we|you|people) (use to hear|hear with)?", "We use our ears to hear."),
    ("What do (we|you|people) (use to smell|smell with)?", "We use our nose to smell."),
    ("What is ice(| made of)?", "Ice is water that is very cold."),
    ("What is snow(| made of)?", "Snow is tiny bits of ice that fall from the sky."),
    ("What is rain?", "Rain is water that falls from the clouds."),
    ("What is (a cloud|a cloud made of)?", "A cloud is made of tiny drops of water."),
    ("What is a rainbow?", "A rainbow is a colorful bow that you see when sun and rain meet."),
    ("What is the sun?", "The sun is a big, hot star."),
    ("What is the moon?", "The moon is a big ball of rock that goes around the Earth."),
    ("What is a star?", "A star is a big, hot ball of light, very far away."),
    ("When do (we|people|you) sleep?", "People sleep at night."),
    (
        "What (is the biggest animal|animal is the biggest)?",
        "The blue whale is the biggest animal.",
    ),
    ("What (is the fastest animal|animal is the fastest)?", "The cheetah runs very fast."),
    ("What (is the tallest animal|animal is the tallest)?", "The giraffe is the tallest animal."),
    ("What do (you|we) need to write?", "You need a pen and some paper."),
    ("What (is|do you mix to make) green(| made of)?", "Blue and yellow make green."),
    ("What (is|do you mix to make) orange paint(| made of)?", "Red and yellow make orange."),
    ("What (is|do you mix to make) purple(| made of)?", "Red and blue make purple."),
    ("Why is the sky blue?", "The air scatters the blue light of the sun."),
    ("Why is the grass green?", "Plants have something green in them that eats sunlight."),
    ("Why does it rain?", "Clouds get full of water, and then it falls down."),
    ("Why do we (sleep|need sleep)?", "We sleep to rest and to grow."),
    ("Why do we (eat|need food)?", "Food gives us energy."),
    (
        "Why do (birds fly|birds have wings)?",
        "Birds fly with their wings to find food and warm places.",
    ),
    (
        "Why do leaves fall(| down)?",
        "In autumn the trees get ready for winter and drop their leaves.",
    ),
    ("Why (does ice melt|does snow melt)?", "It melts because it gets warm."),
    ("Why do we (wash|wash our hands)?", "We wash to be clean and healthy."),
    ("Why do we brush our teeth?", "We brush our teeth to keep them clean and strong."),
    ("Why is it dark at night?", "At night the sun shines on the other side of the Earth."),
    ("Why do cats purr?", "Cats purr when they are happy."),
    ("Why do dogs (bark|wag their tails)?", "Dogs do it to tell us how they feel."),
    ("Can (a penguin|a chicken|an ostrich) fly?", "It is a bird, but it cannot really fly."),
    ("Can (a fish|a duck|a frog|a whale) swim?", "Yes, it swims very well."),
    ("Can (a pig|a dog|a cow|a horse|a fish) fly?", "No, it cannot fly."),
    ("Is (the sun|fire|an oven) (hot|cold)?", "It is very hot."),
    ("Is (ice|snow) (hot|cold)?", "It is very cold."),
    ("Is (a lemon|vinegar) (sweet|sour)?", "It is sour."),
    ("Is (sugar|honey|candy) (sweet|sour)?", "It is sweet."),
    ("Where (does milk come|do we get milk) from?", "Milk comes from cows."),
    ("Where (do eggs come|do we get eggs) from?", "Eggs come from chickens."),
    ("Where (does wool come|do we get wool) from?", "Wool comes from sheep."),
    ("Where do (apples|cherries|pears) grow?", "They grow on trees."),
    ("Where do (carrots|potatoes|onions) grow?", "They grow under the ground."),
    ("Where (is the moon|are the stars)?", "Up in the sky, far away."),
    ("What do plants need(| to grow)?", "Plants need sun, water and earth."),
    ("What do you (wear|put on) when it is cold?", "A warm coat, a hat and gloves."),
    ("What do you (wear|put on) your feet?", "Socks and shoes."),
    ("What do you do when you are (hungry)?", "You eat something."),
    ("What do you do when you are (thirsty)?", "You drink some water."),
    (
        "Say the (alphabet|ABC).",
        "A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S, T, U, V, W, X, Y, Z!",
    ),
    (
        "(Tell me|What are) the days of the week(.|?)",
        "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday.",
    ),
    ("Is (a whale|a dolphin) a fish?", "No, it lives in the sea, but it is not a fish."),
    ("Is a (tomato|pumpkin) a fruit?", "Yes, it is a fruit, but we cook it like a vegetable."),
    ("What is the (name of our planet|planet we live on)?", "We live on the Earth."),
    ("(Who flies|Who drives) a plane?", "A pilot flies a plane."),
    ("Who (helps|looks after) sick people?", "Doctors and nurses help sick people."),
    ("Who (bakes|makes) bread?", "A baker bakes bread."),
    ("Who (works on|lives on) a farm?", "A farmer works on a farm."),
)
