"""List good and bad things that users report, and input that means nothing, each with its answer.

Bad news must never be called great: each kind has answers that fit no other.
"""

from rwkv_core.training.corpus.phrases import Intent

_SORRY = "(I am sorry|I am so sorry|Oh no, I am sorry)(|{you})"
_WHEN = "(.|!| today.| yesterday.| again.|)"

NEWS = (
    Intent(
        "mean people",
        (
            "(My brother|My sister|A boy|A girl|My friend|Somebody|My cousin) (is|was) (so |very |)mean to me"
            + _WHEN,
            "(Nobody|No one) (plays|wants to play|talks|wants to talk|wants to be friends) with me"
            + _WHEN,
            "(Nobody|No one) (likes me|loves me|helps me|listens to me|came to my party)(.|!|)",
            "(They|The others|The other children|My friends) (laughed at|were mean to|made fun of) me"
            + _WHEN,
            "(A boy|A girl|My brother|Somebody|My sister) (hit|pushed|kicked|bit|teased) me"
            + _WHEN,
            "(My friend|My sister|My best friend|My brother) (is angry with|shouted at|lied to) me"
            + _WHEN,
        ),
        (
            _SORRY + ". That was not nice to you.",
            "That is not kind. I am your friend(|{you})!",
            "Oh no. Nobody should be mean to you(|{you}).",
            _SORRY + ". I would like to play with you.",
            "That makes me sad. You are a good person(|{you}).",
            "That must hurt. Can you tell somebody about it?",
        ),
        ("The kids at school are horrible to me.", "Nobody wants me in their team."),
    ),
    Intent(
        "hurt",
        (
            "I (fell down|fell off my bike|fell|fell down the stairs|fell out of a tree)" + _WHEN,
            "I (hurt|broke|cut|burned) my (knee|arm|foot|leg|finger|hand|toe)" + _WHEN,
            "My (head|tummy|tooth|ear|back|knee|leg|arm|throat) hurts" + _WHEN,
            "I have (a cold|a fever|a headache|a bad cough|a stomach ache|the flu)" + _WHEN,
            "(I had to go|I was taken) to the (doctor|hospital)(.| because I fell.| with a fever.)",
        ),
        (
            "Ouch! Does it still hurt?",
            "Oh no, that must hurt. I hope it gets better soon.",
            "Poor you(|{you})! Please rest a little.",
            _SORRY + " that it hurts. Get well soon!",
            "Ouch! Did somebody help you?",
        ),
        ("I bumped my head very hard.", "I am ill in bed with a fever."),
    ),
    Intent(
        "loss",
        (
            "My {x} (died|is dead|ran away|is gone|is very sick|got lost|is not well)" + _WHEN,
            "I miss my {x}(.|!| so much.| very much.| a lot.|)",
            "(I am sad because|I cry because) (I miss my {x}|my {x} is sick|my {x} is gone)(.|)",
            "My {x} (moved away|is in the hospital|had an accident|does not come back)(.|!|)",
        ),
        (
            "I am so sorry about your {x}(|{you}).",
            "Oh no, your {x}! That is very sad.",
            "You must love your {x} very much. I am sorry.",
            "That is so sad. Do you want to tell me about your {x}?",
        ),
        ("I had to say goodbye to my {x} forever.",),
        ("dog", "cat", "grandma", "grandpa", "rabbit", "hamster", "best friend", "friend", "bird"),
    ),
    Intent(
        "failed",
        (
            "I (failed|did not pass|messed up) (my test|the exam|my exam|the test)" + _WHEN,
            "(I lost the|We lost the|My team lost the) (game|match|race)" + _WHEN,
            "I (got a bad grade|missed the bus|was late for school|forgot my homework)" + _WHEN,
            "I (lost my job|did not get the job|was not invited|came last in the race)" + _WHEN,
            "(My party|Our trip|The show|My birthday party) is (canceled|off)(.|!|)",
            "(My cake burned|My tower fell down|My balloon flew away|I spilled my milk)(.|!|)",
            "I (can't|cannot) (go out|go to the party|play outside|find my mom)(.|!| today.)",
        ),
        (
            "Oh no(|{you})! I hope it goes better next time.",
            "That is a pity. Do not give up(|{you})!",
            _SORRY + ". It can happen to everybody.",
            "That is bad luck(|{you}). You can try again.",
            "I understand that you are sad about it. Next time will be better.",
        ),
        ("Everything went wrong in my test.", "Our team was beaten."),
    ),
    Intent(
        "night fears",
        (
            "I had a (bad|scary|terrible) dream(.|!| last night.| again.|)",
            "There is a (monster|ghost|spider) (under my bed|in my room|in the closet)(.|!|)",
            "I (heard|hear) a (scary|strange|loud) noise(.|!| outside.| at night.|)",
            "I (am afraid to|am scared to|do not want to) (sleep|go to bed|be alone|go home)(.|!|)",
            "(It is so dark here|It is dark and I am afraid|There is a big storm and I am scared)(.|!|)",
        ),
        (
            "That sounds scary. You are safe(|{you}).",
            "Do not be afraid(|{you}). It cannot hurt you.",
            "You are brave to tell me. Is somebody with you?",
            "Oh, that is scary! A little light can help.",
            "It was only a fright. Soon it will be morning.",
        ),
        ("Something scary was in my dream.",),
    ),
    Intent(
        "good things",
        (
            "I (won|won the race|won a prize|passed my exam|got a good grade|got the job)" + _WHEN,
            "I (learned to swim|learned to ride a bike|can read now|can swim now)(.|!|)",
            "(My lost dog came back|I found my lost cat|My grandma is well again|I feel better now)(.|!|)",
            "(We have a new baby|I have a little sister now|I got a puppy|I got a new bike)(.|!|)",
            "(I made|I found|I have) (a new friend|a very good friend|many new friends)" + _WHEN,
            "(My friend|My mom|My teacher|My dad) was (so |very |)(nice|kind) to me" + _WHEN,
            "(We are going|I am going) on (holiday|a trip)(.|!| tomorrow.| soon.)",
            "(Everybody likes|Everybody loved|My mom loves) my (picture|cake|song|story)(.|!|)",
        ),
        (
            "That is wonderful news(|{you})!",
            "Hooray! I am so happy for you(|{you}).",
            "That is great! You must be very happy.",
            "How lovely! That makes me smile.",
            "Well done(|{you})! You can be proud.",
        ),
        ("The best thing happened: I am first!", "I finally managed to swim all alone."),
    ),
    Intent(
        "not fine",
        (
            "(Not so good|Not good|Not very well|Not so well|Bad|Very bad|Terrible|Awful)(.|!|, sadly.|)",
            "I am (not okay|not so good|not well|not happy|not fine|not doing well)(.| today.|)",
            "I (do not|don't) feel (good|well|so good|happy|okay)(.| today.|)",
            "(It is|It was|My day is|My day was) (bad|not good|terrible|hard|a bad day)(.|)",
        ),
        (
            "I am sorry to hear that(|{you}). What is wrong? >> trouble",
            "Oh no. Do you want to tell me why? >> trouble",
            "I am sorry that you do not feel well. I hope it gets better.",
            "That is sad(|{you}). Maybe a joke helps? >> joke",
        ),
        ("I am feeling rather low.", "Today is no good day for me."),
    ),
)

NONSENSE = Intent(
    "nonsense",
    (
        "(asdf|qwer|qwertz|jkl|xcvb|hjkl|uiop|fghj|yxcv|asd|qwe)(| asdf| qwer| jkl| fff)(|.|!|?)",
        "(xk|fj|wl|gh|kj)(q|w|rt)(z|bv) (kd|sf|jf|dj)(lk|sg|g)(|?|!)",
        "(a|s|d|f|g|w|k)(x|k|j|l|h)(q|w|r|t)(z|b|v|n)(|sd)(|?|!)",
        "(blub|grmpf|blah|bla bla|hrrgh|mmpf|blubb|brrr|xx|zzz|lalala)(| blub| bla| xyz| hm)(|?|!)",
        "(???|??|...|?!|!!!|-|....|:::|+++|#|12 12 xx|a b x)",
        "(the of|is the and|blue the|when dog|go apple|yes is cat) (of to|who the|five and|very in|how)(|?)",
    ),
    (
        "I did not understand that. Can you say it in other words?",
        "I am sorry, I do not understand. What do you mean?",
        "I do not know what that means. Please say it in other words.",
        "Hmm, I did not get that. Can you write it again?",
    ),
    ("vbnm vbnm", "krrx", "the the of dog when"),
)
