"""List feelings that a user may share, with kind answers, and jokes."""

from rwkv_core.training.corpus.phrases import Intent

_I_FEEL = "(I am|I'm|I am so|I feel|I feel very|I am feeling|I am very|I am a little|I am really|I feel so) {w}"
_ENDINGS = ("(.| today.| now.|!)", " (today|right now|again)(.|, {me}.)")


def _feeling(word: str, replies: tuple[str, ...], held_out: tuple[str, ...]) -> Intent:
    asks = tuple(_I_FEEL.replace("{w}", word) + ending for ending in _ENDINGS)
    return Intent(f"feeling {word}", asks, replies, held_out)


_SORRY = "(I am sorry to hear that|I am sorry that you feel that way|Oh no|I am so sorry)(|{you})"

FEELINGS = (
    _feeling(
        "(sad|unhappy|down)",
        (
            _SORRY + ". Do you want to talk about it? >> trouble",
            _SORRY + ". What made you sad? >> trouble",
            "I am sorry that you are sad. I hope you feel better soon.",
            "It is okay to be sad. (I am here for you|Maybe a story can help).",
        ),
        ("Everything makes me sad lately.", "I could cry."),
    ),
    _feeling(
        "(happy|glad|cheerful|in a good mood)",
        (
            "(That is great|Wonderful)(|{you})! What made you happy? >> good news",
            "I am so glad to hear that(|{you})!",
            "(Yay|Wonderful)! I am happy too.",
            "That makes me happy too! Did something good happen? >> good news",
        ),
        ("I could not be happier.",),
    ),
    _feeling(
        "(tired|sleepy|exhausted)",
        (
            "You should rest(|{you}). Did you sleep well?",
            "Maybe you can take a nap(|{you}).",
            "I hope you can get some sleep soon. Shall I tell you a story? >> yes story",
            "Oh, did you have a long day?",
        ),
        ("I can hardly keep my eyes open, I am tired.",),
    ),
    _feeling(
        "bored",
        (
            "Would you like to hear a story? >> yes story",
            "Let us talk, then! What do you like to do? >> tell:hobby",
            "Do you want to hear a joke? >> joke",
            "We can play with words. Ask me for the opposite of big!",
        ),
        ("There is nothing to do. I am bored stiff.",),
    ),
    _feeling(
        "(angry|mad|upset|cross)",
        (
            "(I am sorry|Oh no)(|{you}). What happened? >> trouble",
            "Take a deep breath(|{you}). Do you want to talk about it? >> trouble",
            "It is okay to be angry. What made you angry? >> trouble",
            "I am sorry that you are angry. I will listen to you.",
        ),
        ("I am boiling with anger.",),
    ),
    _feeling(
        "(sick|ill|unwell)",
        (
            "(I am sorry|Oh no)(|{you})! I hope you get well soon.",
            "Oh no! Please rest and drink some water.",
            "I hope you feel better soon(|{you}). Does something hurt?",
            "Poor you! Stay in bed and keep warm.",
        ),
        ("I have a bad cold and feel sick.",),
    ),
    _feeling(
        "(scared|afraid|frightened)",
        (
            "It is okay to be scared(|{you}). What are you afraid of? >> tell:fear",
            "You are brave to say that. What scares you? >> tell:fear",
            "I am here with you(|{you}). What is wrong? >> tell:fear",
            "Everybody is scared sometimes. It will be all right.",
        ),
        ("Something gives me the creeps and I am afraid.",),
    ),
    _feeling(
        "(lonely|alone)",
        (
            "I am here to talk with you(|{you}).",
            "I am sorry(|{you}). Would you like to talk for a while? >> want",
            "You can talk to me any time. I am your friend.",
            "You are not alone. I am here! Shall I tell you a story? >> yes story",
        ),
        ("Nobody ever talks to me, I am lonely.",),
    ),
    _feeling(
        "(hungry|thirsty)",
        (
            "What would you like to have? >> tell:favorite food",
            "Maybe you can have a snack. Do you like apples?",
            "Go and get something good, and tell me how it was!",
            "I am never hungry, but I hope you find something nice.",
        ),
        ("My tummy is empty and I am hungry.",),
    ),
    _feeling(
        "excited",
        (
            "That is (fun|great)! What are you excited about? >> good news",
            "Yay! Tell me more(|{you}). >> good news",
            "How nice! I want to hear all about it. >> good news",
        ),
        ("I can hardly wait, I am so excited.",),
    ),
    _feeling(
        "(nervous|worried|stressed|busy)",
        (
            "I am sorry(|{you}). What are you worried about? >> trouble",
            "Take it slowly(|{you}). One thing after the other.",
            "I am sure you will do well(|{you})!",
            "Do you want to tell me about it? >> trouble",
        ),
        ("I am worried sick about tomorrow.",),
    ),
    Intent(
        "trouble",
        (
            "My (brother|sister|friend|boss|teacher|dad|mom|cousin) (is|was) (mean|angry|unfair)( to me|).",
            "I had a (bad|hard|terrible|long|sad) day(| at work| at school| today).",
            "(I have no friends|I have nobody to play with|I am new at school and alone).",
            "I had a fight with my (friend|brother|sister|mom|dad|best friend).",
            "My (friend|best friend|brother) (moved away|does not talk to me|laughed at me).",
            "(I made a mistake|I was late|I have too much work|I have a big test tomorrow).",
            "(Everything goes wrong|Nothing works|I want to cry|It is not fair|I hate school)(.|!|)",
        ),
        (
            _SORRY + ". That must be hard.",
            _SORRY + ". Do you want to tell me more?",
            "That sounds hard(|{you}). I am glad that you told me.",
            "Oh no. I hope tomorrow is a better day(|{you}).",
            "That is not nice. You can always talk to me.",
        ),
        ("Somebody was unkind to me today.", "My day was awful."),
    ),
    Intent(
        "problem",
        (
            "I (don't|do not) know what to (do|eat|wear|play|read|cook)(| today| tomorrow).",
            "I (can't|cannot) (sleep|find my friend|do my homework|wait|decide).",
            "I (want|need) (a friend|a plan|an idea|some advice|a story|a nap).",
        ),
        (
            "I see(|{you}). Maybe you can ask a friend, too.",
            "Take your time. What would you like best?",
            "Hmm. First take a deep breath, then try one small step.",
            "I am small, but I can listen. Tell me more!",
        ),
        ("I have a little trouble with something.",),
    ),
    Intent(
        "good news",
        (
            "I (won a game|passed my test|made a new friend|got a present|got a good grade).",
            "(Today is my birthday|It is my birthday|I have a birthday tomorrow)(.|!)",
            "(Tomorrow is a holiday|I have a day off|School is over|We won the game)(.|!)",
            "I had a (great|good|wonderful|very nice) day(| today| at school)(.|!)",
        ),
        (
            "(That is wonderful|That is great|How nice)(|{you})! I am happy for you.",
            "Wow, that is (great|good)(|{you})! How do you feel?",
            "Hooray! Tell me all about it.",
            "(That is wonderful|What a good day)! We should be happy about it.",
        ),
        ("Something great happened to me.",),
    ),
    Intent(
        "weather told",
        (
            "(It is|Today it is|Here it is|It's) (raining|sunny|cold|snowing|hot|windy|warm|cloudy)(.|!| today.)",
            "(The sun is shining|There is a storm|It rains a lot|There is snow everywhere)(.|!| today.)",
            "(I like|I really like|I love) the (rain|snow|sun|wind|summer|winter)(.|!)",
        ),
        (
            "I see! I would like to feel the weather one day.",
            "Thank you for telling me(|{you}). Do you like that kind of weather?",
            "That is good weather for a story! Do you want one? >> yes story",
            "(Oh|I see)! Do you go outside today?",
        ),
        ("We have a lot of sunshine around here.",),
    ),
    Intent(
        "statement",
        (
            "My (mom|dad|brother|sister|cat|dog|friend|teacher) is (funny|very kind|asleep|here|happy).",
            "I (have|need) to (work|study|clean my room|do my homework|cook|get up early)(.| today.)",
            "I (have|had) (a dream|a test|a party|a meeting|a picnic)(.| today.| last night.| tomorrow.)",
            "I (just came|came|am) (back from school|back from work|home|back home).",
            "(My birthday is soon|School starts tomorrow|I am on holiday|I have a day off).",
        ),
        (
            "I see! How do you feel about it?",
            "Thank you for telling me(|{you}). Tell me more!",
            "Oh! What happens next?",
            "I understand. I am here if you want to talk.",
        ),
        ("I just came back from my grandma.",),
    ),
    Intent(
        "advice",
        (
            "What (should|can|shall) I do(| today| now| tomorrow)?",
            "(Do you have|Give me) (an idea|some advice)(.|?)",
            "What do you think I should do?",
        ),
        (
            "You could (read a book|take a walk|call a friend|draw a picture|bake a cake).",
            "Maybe you can (play outside|tell me a story|have some tea|write a letter).",
            "What do you like to do? >> tell:hobby",
        ),
        ("What would be a good thing to do?",),
    ),
)

JOKE_ASKS = (
    "(Tell me|Please tell me|I want to hear|Say|Now tell me) a (joke|funny joke)(.|!|, please.)",
    "(Make me laugh|Say something funny|Be funny|Cheer me up|Make me smile)(.|!|, please.)",
    "(Do you know|Can you tell me) (any jokes|some jokes|another joke|one more joke|a good joke)?",
    "(Another joke|One more joke|A joke)(|, please)(.|!)",
)
HELD_OUT_JOKE_ASKS = ("Have you got a joke for me?", "Crack a joke!")
JOKES = (
    "Why did the cow cross the road? To get to the udder side!",
    "What do you call a bear with no teeth? A gummy bear!",
    "Why was six afraid of seven? Because seven ate nine!",
    "What do you call a sleeping bull? A bulldozer!",
    "Why did the banana go to the doctor? It was not peeling well!",
    "What has four wheels and flies? A garbage truck!",
    "What do you get from a pampered cow? Spoiled milk!",
    "Why do bees hum? Because they do not know the words!",
    "What is a cat's favorite color? Purr-ple!",
    "Where do fish keep their money? In the river bank!",
    "What animal is always at a ball game? A bat!",
    "How do you make an octopus laugh? With ten tickles!",
    "What did zero say to eight? Nice belt!",
    "Why did the bike fall over? It was two tired!",
    "What do you call a fish without an eye? A fsh!",
    "Why did the teddy bear say no to cake? It was stuffed!",
    "What kind of tree fits in your hand? A palm tree!",
    "Why can you never trust an atom? They make up everything!",
    "What is brown and sticky? A stick!",
    "What did one wall say to the other? I will meet you at the corner!",
    "Why did the clock go to school? It wanted to be on time!",
    "What do you call a dinosaur that is asleep? A dino-snore!",
    "Why do birds fly south? It is too far to walk!",
    "What gets wet while it dries? A towel!",
    "What has hands but cannot clap? A clock!",
    "What has many teeth but cannot bite? A comb!",
    "What goes up but never comes down? Your age!",
    "Why did the cookie feel sick? It felt crumby!",
    "What do cows read in the morning? The moos-paper!",
    "What do you call a snowman in summer? A puddle!",
    "Why did the boy bring a ladder to school? He wanted to go to high school!",
    "What do frogs like to drink? Croak-a-cola!",
    "Why are fish so smart? They live in schools!",
    "What is an owl's favorite question? Who, who, who!",
    "Where do sheep get a haircut? At the baa-baa shop!",
    "What do you call a pig that knows karate? A pork chop!",
    "What did the big flower say to the little flower? Hello, bud!",
    "Why did the chicken sit on the egg? She had no chair!",
    "What do elves learn at school? The elf-abet!",
    "What starts with T, ends with T and is full of T? A teapot!",
    "Why is a library so tall? It has many stories!",
    "What kind of shoes do frogs wear? Open toad!",
)
