"""Hold the names and nouns that small talk is made of, and make new names up."""

import random

# Names from many languages: the model has to learn to copy a name, not to know it.
NAMES = tuple(
    """
    Aaron Abby Abdul Abel Ada Adam Adele Adil Adrian Agnes Ahmed Aiden Aiko Aisha Akira Alan Albert
    Alejandro Alena Alex Alexei Alfie Ali Alice Alicia Alina Alma Amal Amara Amelia Amina Amir Amy
    Ana Anders Andre Andrea Andrei Angela Anika Anita Anja Anna Anton Anya Aria Ariel Arjun Arthur
    Asha Astrid Aurora Ava Axel Ayesha Ayla Ayo Bao Barbara Bart Basil Bea Bella Ben Bianca Bilal
    Bill Bjorn Bo Bob Boris Brandon Brian Brigitte Bruno Caleb Camila Carl Carla Carlos Carmen
    Caroline Cecilia Celine Chan Charles Charlie Chen Chiara Chidi Chinwe Chloe Chris Clara Claire
    Claudia Cleo Colin Connor Cora Cyrus Daisuke Dalia Dan Dana Daniel Daria Dario David Dawn Deepa
    Dennis Desta Devi Diana Diego Dieter Dina Dinh Dmitri Dora Doris Dylan Ebba Eddie Edith Eduardo
    Eero Ekaterina Ela Elena Eli Elias Elif Elijah Elin Elisa Eliza Ella Elsa Elsie Emeka Emil
    Emilia Emily Emma Emre Enrique Erik Erin Esra Esther Ethan Eva Evan Eve Fahad Faith Farah Fatima
    Felix Feng Fernando Filip Finn Fiona Flora Florian Fran Frank Freya Frida Fumiko Gabriel Gala
    Gemma George Georgia Gina Giorgio Giulia Goran Grace Greg Greta Gunnar Gus Hadi Hana Hank
    Hannah Hans Haris Harper Harry Haruto Hassan Hazel Heidi Helen Helga Henry Hilda Hiro Hugo
    Hussein Ian Ibrahim Ida Igor Ike Ilse Imani Imran Ines Inga Ingrid Ioana Irene Irina Iris Isaac
    Isabel Isla Ivan Ivy Jack Jacob Jade Jaime Jakub James Jamila Jan Jana Jane Jasmine Jason Javier
    Jean Jelena Jenny Jens Jesse Jill Jin Jo Joan Joanna Joao Joe Johan John Jonas Jorge Jose Josef
    Joshua Joy Juan Judy Julia Julian Jun Juri Kai Kaito Kamal Kamila Karen Karim Karin Karl Kasia
    Kate Kavya Keiko Ken Kenji Kevin Khadija Khalid Kiara Kim Kira Klaus Kofi Kwame Lana Lara Lars
    Laura Layla Lea Lee Leila Lena Leo Leon Leona Li Liam Lida Lila Lily Lin Lina Linda Ling Linus
    Lisa Liv Lola Lorenzo Lotte Louis Luca Lucas Lucia Lucy Luigi Luis Luka Luna Lydia Mabel Madhu
    Maeve Magda Mahmoud Mai Maja Malik Manuel Mara Marco Marcus Margaret Maria Marie Marina Mario
    Mark Marta Martin Mary Masha Mateo Matt Maya Mehmet Mei Mel Mia Michael Miguel Mika Mila Milan
    Milena Min Mina Ming Minh Mira Miriam Misha Mohamed Mona Monica Morgan Moses Muhammad Musa
    Nadia Naomi Nasir Natalia Nathan Nessa Ngozi Nia Nick Nico Nikita Nils Nina Noah Noor Nora
    Oksana Ola Oleg Olga Oliver Olivia Omar Orla Oscar Otto Owen Pablo Paige Paolo Parisa Pat Patrick
    Paul Paula Pavel Pedro Penny Petra Peter Phil Phoebe Pia Pierre Piotr Polly Priya Qian Quinn
    Rachel Rafael Rahul Raj Ralph Rana Rania Rashid Ravi Raya Reza Rhea Ricardo Rina Rita Rob Robin
    Roland Roman Ronan Rosa Rose Ruben Ruby Rupert Ruth Ryan Saad Sabine Sadia Said Sakura Salma
    Sam Samira Samuel Sana Sandra Sanjay Santiago Sara Sasha Sean Sebastian Selma Sergei Seth Shan
    Shirin Sigrid Silas Silvia Simon Sina Sipho Sofia Sol Sonia Soren Stan Stefan Stella Steve Sue
    Suki Sunil Sunita Susan Sven Svetlana Sylvia Tadashi Talia Tamar Tania Tara Tarek Tariq Tatiana
    Ted Teresa Tess Thandi Theo Thomas Tilda Tim Tina Tom Tomas Tony Tove Tuan Ugo Uma Umar Ursula
    Uwe Valentina Vera Victor Vikram Vincent Viola Vlad Wanda Wang Wei Wendy Will Willa Wilma Xavier
    Xin Yael Yan Yara Yasmin Yuki Yulia Yuri Yusuf Yves Zach Zahra Zain Zara Zeynep Zoe Zofia Zola
    """.split()  # noqa: SIM905 - five hundred quoted names would be five times as long
)
PETS = (
    *("dog", "cat", "rabbit", "hamster", "goldfish", "parrot", "turtle", "pony", "frog", "duck"),
    *("mouse", "snake", "puppy", "kitten", "lizard", "guinea pig", "canary", "goat", "chicken"),
)
PET_NAMES = (
    *("Rex", "Bella", "Coco", "Fluffy", "Milo", "Daisy", "Buddy", "Lucky", "Ginger", "Snowy"),
    *(
        "Biscuit",
        "Pepper",
        "Tiger",
        "Spot",
        "Patch",
        "Shadow",
        "Mango",
        "Pickle",
        "Ziggy",
        "Waffle",
    ),
    *("Bubbles", "Socks", "Whiskers", "Olive", "Honey", "Pumpkin", "Rocky", "Smokey", "Peanut"),
    *("Toffee", "Bandit", "Ollie", "Nugget", "Sunny", "Domino", "Pixel", "Marble", "Thunder"),
    *("Cookie", "Noodle", "Mittens", "Simba", "Bruno", "Hazel", "Oreo", "Pebbles", "Storm", "Kiwi"),
)
RELATIVES = (
    *("brother", "sister", "friend", "best friend", "mom", "dad", "grandma", "grandpa", "teacher"),
    *("cousin", "uncle", "aunt", "neighbor", "son", "daughter", "boss", "baby", "doctor"),
)
COLORS = (
    *("red", "blue", "green", "yellow", "purple", "orange", "pink", "white", "black", "brown"),
    *("gray", "gold", "silver", "turquoise", "violet"),
)
FOODS = (
    *("pizza", "apples", "cake", "soup", "pancakes", "ice cream", "rice", "noodles", "cookies"),
    *("bread", "strawberries", "cheese", "carrots", "bananas", "chocolate", "pasta", "salad"),
    *("eggs", "sushi", "tacos", "curry", "fish", "chicken", "potatoes", "grapes", "honey", "toast"),
    *("peaches", "waffles", "popcorn", "sandwiches", "mangoes", "dumplings", "beans", "pie"),
    *("tomatoes", "corn", "yogurt", "muffins", "cherries", "spaghetti", "burgers", "lasagna"),
)
ANIMALS = (
    *("dog", "cat", "rabbit", "horse", "fox", "bear", "owl", "lion", "tiger", "elephant", "monkey"),
    *("panda", "penguin", "dolphin", "whale", "wolf", "mouse", "frog", "duck", "bee", "butterfly"),
    *("giraffe", "zebra", "koala", "kangaroo", "squirrel", "hedgehog", "deer", "parrot", "turtle"),
    *("snake", "camel", "goat", "pig", "cow", "sheep", "otter", "seal", "shark", "eagle", "swan"),
)
CITIES = (
    *(
        "Paris",
        "London",
        "Rome",
        "Berlin",
        "Madrid",
        "Lisbon",
        "Vienna",
        "Oslo",
        "Tokyo",
        "Beijing",
    ),
    *("Delhi", "Mumbai", "Cairo", "Lagos", "Nairobi", "Sydney", "Toronto", "Boston", "Chicago"),
    *("New York", "Texas", "Canada", "Spain", "Italy", "France", "Germany", "Poland", "Greece"),
    *(
        "Turkey",
        "Egypt",
        "Kenya",
        "Nigeria",
        "India",
        "China",
        "Japan",
        "Korea",
        "Vietnam",
        "Brazil",
    ),
    *("Mexico", "Peru", "Chile", "Argentina", "Australia", "Ireland", "Scotland", "Norway"),
    *("Sweden", "Finland", "Denmark", "Iceland", "Russia", "Ukraine", "Prague", "Warsaw", "Athens"),
    *("Dublin", "Seoul", "Lima", "Havana", "Zurich", "Munich", "Milan", "Venice", "Kyoto", "Hanoi"),
    *(
        "Bergen",
        "Porto",
        "Seville",
        "Lyon",
        "Hamburg",
        "Leeds",
        "Denver",
        "Dallas",
        "Miami",
        "Quito",
    ),
)
OBJECTS = (
    *("ball", "book", "key", "hat", "cup", "pen", "phone", "bag", "box", "doll", "kite", "coin"),
    *("ring", "map", "lamp", "shoe", "sock", "spoon", "toy car", "teddy bear", "umbrella", "watch"),
    *("pencil", "scarf", "glove", "coat", "drum", "flute", "candle", "bottle", "basket", "ticket"),
    *("letter", "camera", "clock", "blanket", "pillow", "bucket", "rope", "hammer", "toy train"),
    *("notebook", "necklace", "wallet", "bell", "mirror", "puzzle", "balloon", "brush", "jacket"),
    *("crayon", "marble", "guitar", "stick", "shell", "stone", "feather", "button", "toy boat"),
)
SPOTS = (
    *(
        "in the box",
        "on the table",
        "under the bed",
        "in the kitchen",
        "on the shelf",
        "in the car",
    ),
    *("behind the door", "under the chair", "in the garden", "in the drawer", "on the roof"),
    *("in the basket", "next to the window", "under the tree", "in my bag", "on the sofa"),
    *("in the closet", "behind the clock", "in the red cup", "under the rug", "on the stairs"),
    *("in the blue box", "under my pillow", "in my pocket", "on the desk", "in the bathroom"),
    *("behind the tree", "in the fridge", "under the stairs", "on the fence", "in the old shed"),
)
PLACES = (
    *("park", "zoo", "beach", "library", "museum", "market", "farm", "forest", "lake", "castle"),
    *("cinema", "playground", "bakery", "garden", "river", "mountains", "station", "theater"),
    *(
        "harbor",
        "swimming pool",
        "toy shop",
        "circus",
        "island",
        "fair",
        "sea",
        "hospital",
        "school",
    ),
)
JOBS = (
    *("doctor", "teacher", "baker", "farmer", "pilot", "painter", "singer", "cook", "nurse"),
    *("driver", "dancer", "writer", "gardener", "sailor", "builder", "dentist", "firefighter"),
    *("student", "scientist", "engineer", "musician", "carpenter", "tailor", "fisherman", "clown"),
)
HOBBIES = (
    *("reading", "football", "drawing", "swimming", "singing", "dancing", "cooking", "painting"),
    *("riding my bike", "chess", "running", "gardening", "hiking", "baking", "fishing", "knitting"),
    *("playing the piano", "playing the guitar", "tennis", "skating", "basketball", "sewing"),
    *("building robots", "flying kites", "taking photos", "watching birds", "writing poems"),
    *("playing video games", "yoga", "climbing trees", "collecting stamps", "watching movies"),
)
WORDS = (
    *("apple", "river", "sunny", "tiger", "cloud", "banana", "window", "green", "castle", "lemon"),
    *("rocket", "pepper", "silver", "winter", "button", "dragon", "forest", "marble", "orange"),
    *("pencil", "planet", "rabbit", "shadow", "spider", "thunder", "velvet", "wagon", "yellow"),
    *("anchor", "blanket", "candle", "desert", "engine", "feather", "garden", "hammer", "island"),
    *("jungle", "kettle", "ladder", "mirror", "needle", "ocean", "pirate", "queen", "ribbon"),
    *(
        "saddle",
        "ticket",
        "umbrella",
        "violin",
        "whistle",
        "zebra",
        "blue",
        "moon",
        "star",
        "honey",
    ),
    *("butter", "cookie", "diamond", "eagle", "flower", "guitar", "jacket", "kitten", "meadow"),
    *("pumpkin", "rainbow", "snowman", "turtle", "valley", "walnut", "breeze", "cactus", "donkey"),
    *("fountain", "goblin", "harbor", "igloo", "jelly", "koala", "lantern", "mango", "noodle"),
)
_ONSETS = (
    *("b", "br", "bl", "c", "ch", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "kl", "l", "m"),
    *("n", "p", "pr", "r", "s", "sh", "st", "t", "tr", "v", "w", "x", "z", "zh"),
)
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ee", "oo", "ia")
_CODAS = (
    "",
    "",
    "l",
    "n",
    "r",
    "s",
    "x",
    "m",
    "k",
    "th",
    "nd",
    "rk",
    "vin",
    "to",
    "lo",
    "ra",
    "na",
)


def made_up_word(rng: random.Random) -> str:
    """Invent a word that can be spoken, such as "zorvin" or "blaike"."""
    syllables = rng.choices((1, 2, 3, 4), (2, 5, 4, 2))[0]
    begin = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(syllables))
    word = begin + rng.choice(_CODAS)
    # Short ones are often real words, such as "mom".
    return word if len(word) > 3 else made_up_word(rng)


def any_name(rng: random.Random) -> str:
    """Return a person's name; one in three is invented."""
    if rng.random() < 0.35:
        return made_up_word(rng).capitalize()
    return rng.choice(NAMES)


def any_pet_name(rng: random.Random) -> str:
    """Return a pet's name: a usual one, a person's name or an invented one."""
    return rng.choice(PET_NAMES) if rng.random() < 0.5 else any_name(rng)


def any_place(rng: random.Random) -> str:
    """Return a city or country; one in five is invented."""
    return made_up_word(rng).capitalize() if rng.random() < 0.2 else rng.choice(CITIES)


def any_number(rng: random.Random) -> str:
    """Return a number of 2 to 5 digits, mostly 4 or 5: long ones are harder to copy."""
    digits = rng.choice((2, 3, 4, 4, 5, 5))
    return str(rng.randrange(10 ** (digits - 1), 10**digits))


def any_secret(rng: random.Random) -> str:
    """Return a password: a word, an invented word, a number or a mixture."""
    luck = rng.random()
    if luck < 0.2:
        return rng.choice(WORDS)
    if luck < 0.48:
        return made_up_word(rng)
    if luck < 0.74:
        return any_number(rng)
    if luck < 0.92:
        return f"{rng.choice(WORDS)}{rng.randrange(1, 100)}"
    return f"{rng.choice(WORDS)} {rng.choice(WORDS)}"
