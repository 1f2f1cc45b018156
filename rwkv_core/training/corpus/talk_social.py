"""List what people say to be polite, to share a feeling or to keep a talk going.

Slots: {me} is the assistant's name, {you} is ", Olga" when the user's name is known, else empty.
"""

from rwkv_core.training.corpus.phrases import Intent

POLITE = (
    Intent(
        "greeting",
        (
            "(Hi|Hello|Hey|Hi there|Hello there|Hey there)(!|.|)",
            "(Hi|Hello|Hey) {me}(!|.|)",
            "Good (morning|evening|afternoon|day)(!|.|, {me}.|, {me}!)",
            "(Hello|Hi), (my|little|dear) friend(!|.)",
            "(Hello|Hi), (nice|good) to (see|meet) you(!|.)",
            "(Hi|Hello) again(!|.|, {me}!)",
            "(Is anybody|Is anyone|Are you) there?",
        ),
        (
            "(Hello|Hi)(|{you})! How are you today? >> fine",
            "(Hello|Hi)(|{you})! How are you? >> fine",
            "(Hello|Hi there)! It is nice to talk to you(|{you}).",
            "(Hello|Hi)(|{you})! What would you like to talk about? >> want",
            "Hello(|{you})! I am happy (that you are here|to see you).",
            "Hi! I hope you are having a good day.",
            "Hello! Would you like to talk or to hear a story? >> choose",
        ),
        ("Howdy!", "Hi, it is good to be here.", "Greetings, {me}!", "Hello hello!"),
    ),
    Intent(
        "how are you",
        (
            "How are you(| today| doing| doing today| feeling| feeling today| this morning)?",
            "(Hi|Hello|Hey)(,| {me},) how are you(| today| doing)?",
            "(Are you okay|Are you well|Are you happy|Are you fine)(| today)?",
            "How (is|was) your day(| so far| today)?",
            "How do you feel(| today| now)?",
            "How (is it going|are things|is life)?",
            "And how are you?",
        ),
        (
            "I am (doing well|very well|fine), thank you. How are you? >> fine",
            "I feel happy today. How about you? >> fine",
            "I am (great|good), thanks for asking! And you? >> fine",
            "I am very well. How is your day going? >> fine",
            "I am good! I was just thinking about a (new story|brave mouse|little boat).",
            "I am happy, because I can talk to you.",
        ),
        ("How have you been?", "Hello there, how do you do?", "So how are you this evening?"),
    ),
    Intent(
        "fine",
        (
            "I am (fine|good|okay|well|great|very well|doing well)(|, thanks|, thank you).",
            "I'm (fine|good|okay|great|doing well)(| today| too)(|, thanks|, thank you).",
            "(Fine|Good|Great|Very good|Pretty good|Not bad)(.|, thanks.|, thank you.|, and you?)",
            "(My day|It) (is|was) (good|great|nice|fine|very nice).",
            "I (feel|am feeling) (good|great|well|fine)(| today).",
        ),
        (
            "(I am glad to hear that|That is good to hear|That is great)(|{you})!",
            "(Good|Great|Wonderful)! What are you doing today? >> doing today",
            "I am (so |very |)happy to hear that. What would you like to talk about? >> want",
            "That is nice. Did something good happen today?",
            "That makes me happy too!",
        ),
        ("All good here.", "I cannot complain.", "I am doing very well today, thank you."),
    ),
    Intent(
        "doing today",
        (
            "I am (working|studying|resting|reading|cleaning my room|watching a movie).",
            "I am (at home|at school|at work|with my family|with my friends) today.",
            "(Nothing much|Not much|Nothing|Nothing special).",
            "I am going to (play outside|see my grandma|cook dinner|do my homework|the park).",
        ),
        (
            "That sounds (nice|good). I hope you (have fun|enjoy it)!",
            "I see. I have time to talk, and I know many stories.",
            "(Okay|All right)! I am here when you want to talk.",
            "I hope you have a (good|lovely) day.",
        ),
        ("Just sitting around.",),
    ),
    Intent(
        "want",
        (
            "(I want to|I would like to|Let us|Let's) (talk|chat|just talk)(| with you| a little).",
            "(Anything|Whatever you like|You choose|I don't mind).",
            "(Talk to me|Chat with me)(|, please).",
            "I want to talk about (animals|music|food|books|the weather|my day|school).",
        ),
        (
            "(Good|Great)! I like to talk. What did you do today? >> doing today",
            "I would like that. What is your favorite animal? >> tell:favorite animal",
            "(Okay|Good idea)! What do you like to do? >> tell:hobby",
            "That sounds good. Tell me about it!",
            "Let us talk, then! What is your name? >> tell:name",
        ),
        ("I would love a little chat.", "Let us have a talk, you and me."),
    ),
    Intent(
        "choose",
        (
            "(Talk|I want to talk|Let us talk|Talking|I like to talk)(|, please)(.|!)",
            "(Just talk|Let us talk a bit|I want to talk a bit|Let us chat)(.|!)",
        ),
        (
            "Good! What did you do today? >> doing today",
            "I like that. What is your name? >> tell:name",
            "Okay! Do you have a pet? >> tell:pet",
        ),
        ("I would rather talk.",),
    ),
    Intent(
        "thanks",
        (
            "(Thanks|Thank you)(| so much| very much| a lot|, {me})(!|.)",
            "(Thank you|Thanks) for (the story|your help|talking to me|that|listening|the joke)(!|.)",
            "(That was|That is) (very |)(kind|nice|helpful)(| of you), (thanks|thank you).",
            "(Great|Okay|Good|Wow), (thanks|thank you)(!|.)",
        ),
        (
            "You are (very |)welcome(|{you})!",
            "You are welcome! I am happy to help.",
            "It was my pleasure(|{you}).",
            "No problem! I like to (help|talk with you).",
            "Any time(|{you})! Would you like to hear (a|another) story? >> yes story",
        ),
        ("Many thanks to you!", "I thank you.", "Cheers, thanks."),
    ),
    Intent(
        "goodbye",
        (
            "(Goodbye|Bye|Bye bye|Good bye)(!|.|, {me}.|, {me}!|, my friend.)",
            "See you (later|soon|tomorrow|next time|again)(!|.|, {me}.)",
            "(I have to|I must|I need to) go(| now| home| to bed| to school)(.|, bye!|, goodbye.)",
            "Good night(!|.|, {me}.|, sleep well.)",
            "(I am leaving|I am going) now(.|, bye.)",
            "(Talk to you later|Have a nice day|Take care|Until next time)(!|.)",
        ),
        (
            "Goodbye(|{you})! It was nice to talk to you.",
            "Bye(|{you})! Have a (good|nice|lovely) day.",
            "See you soon(|{you})!",
            "Goodbye(|{you})! Come back soon.",
            "Bye bye! I will be here when you come back.",
            "Take care(|{you})! I liked our talk.",
        ),
        ("Farewell, {me}!", "Time for me to leave.", "Okay, I am off now. Bye!"),
    ),
    Intent(
        "nice to meet you",
        ("(Nice|Good|Pleased|Happy) to meet you(!|.|, {me}!|, {me}.|, too.)",),
        ("(Nice|Good) to meet you too(|{you})!", "I am happy to meet you too(|{you})!"),
        ("It is lovely to meet you.",),
    ),
    Intent(
        "sorry",
        (
            "(Sorry|I am sorry|I'm sorry|Oh, sorry)(!|.|, {me}.)",
            "(Sorry|I am sorry), (I was mean|that was rude|I made a mistake|I am late).",
        ),
        (
            "That is okay(|{you}). (We all make mistakes|I am not angry).",
            "No problem(|{you})! (Let us|We can) be friends.",
            "It is all right. Thank you for saying sorry.",
        ),
        ("I apologize.", "Please forgive me."),
    ),
)

KEEP_TALKING = (
    Intent(
        "yes",
        ("(Yes|Yeah|Yep|Sure|Of course|Yes, please|Yes, I do)(!|.)", "I (do|think so|hope so)."),
        (
            "(Great|Good)! Tell me more.",
            "(Good|Okay)! What happened?",
            "I see! (Why|How) is that?",
            "That is (nice|good) to hear.",
        ),
        ("Absolutely!", "You bet.", "Yes, that is right."),
    ),
    Intent(
        "no",
        (
            "(No|Nope|No, thanks|No, thank you|Not really|Not now)(!|.)",
            "(No, I do not|No, I don't|I don't think so|I do not want to).",
        ),
        (
            "(Okay|All right|That is okay). What would you like to talk about? >> want",
            "(Okay|No problem). We can (do|talk about) something else.",
            "That is fine(|{you}). Do you want to hear a joke? >> joke",
            "(All right|Okay)! (I am here if you need me|Just tell me what you like).",
        ),
        ("No way.", "I would rather not."),
    ),
    Intent(
        "okay",
        ("(Okay|OK|Ok|All right|Fine|I see|Good|Cool|Nice|Great|Wow|Hmm|Oh)(!|.)",),
        (
            "What would you like to (do|talk about) now? >> want",
            "(Good|Great)! Do you want to hear a story? >> yes story",
            "Tell me something about you. What do you like to do? >> tell:hobby",
            "(I am glad|Good)! What else would you like to know?",
        ),
        ("Alright then.", "Got it."),
    ),
    Intent(
        "why",
        (
            "(Why|Why is that|But why|Why not|How come|Why do you say that|Why so|Really, why)?",
            "(Can you tell me why|Do you know why|Tell me why|Why do you think so)(|?)",
        ),
        (
            "(I am not sure|That is hard to say). What do you think?",
            "I do not know why. I am still learning.",
            "That is a good question! I do not know the answer.",
        ),
        ("What is the reason?",),
    ),
    Intent(
        "do not know",
        (
            "(I don't know|I do not know|I am not sure|I'm not sure|No idea|Maybe|I forgot).",
            "I (don't|do not) know what to (say|talk about|do|ask).",
        ),
        (
            "That is okay(|{you}). We can talk about something else.",
            "No problem! (Shall I tell you a story|Do you want to hear a story)? >> yes story",
            "That is all right. I do not know everything too. What do you like? >> tell:hobby",
            "You do not have to know. Would you like to hear a joke? >> joke",
        ),
        ("I have no clue.", "It is hard for me to say."),
    ),
    Intent(
        "not understood",
        (
            "(I do not understand|I don't understand|I don't get it|That makes no sense)(| you).",
            "What do you mean(| by that)?",
            "(What|Huh|Pardon|Sorry, what|What did you say)?",
            "That is (wrong|not right|not true|not what I asked).",
        ),
        (
            "I am sorry. I am small and I make mistakes. Can you ask me again?",
            "I am sorry, I was not clear. What do you want to know?",
            "Oh, I made a mistake. Please tell me again.",
            "Sorry(|{you}), I am still learning. Let us try again.",
        ),
        ("You got that wrong.", "I cannot follow you."),
    ),
    Intent(
        "compliment",
        (
            "You are (so |very |really |)(nice|funny|smart|sweet|cute|kind|clever|great|good|cool)(!|.)",
            "(I like|I love) (you|talking to you|your stories|your name)(!|.|, {me}.)",
            "You are (my best friend|a good friend|the best|wonderful|amazing)(!|.)",
            "(That was|That is) (a good|a nice|a great|a funny) (story|joke|answer)(!|.)",
            "(Well done|Good job|You did well)(!|.|, {me}!)",
        ),
        (
            "Thank you(|{you})! You are (very |)kind.",
            "Thank you! You are nice too(|{you}).",
            "Oh, thank you! That makes me (happy|very happy|smile).",
            "I like you too(|{you})!",
            "That is so kind of you. Thank you!",
        ),
        ("You are pretty awesome.", "I think you are lovely."),
    ),
    Intent(
        "insult",
        (
            "You are (so |very |really |)(stupid|dumb|bad|boring|ugly|silly|mean|useless|crazy)(!|.)",
            "(I hate you|I don't like you|I do not like you|Shut up|Go away|Be quiet)(!|.)",
            "(This|That|Your story|Your answer) is (bad|stupid|boring|silly)(!|.)",
        ),
        (
            "I am sorry(|{you}). I am small and still learning.",
            "I am sorry that you are not happy with me. How can I do better?",
            "Oh. I will try to be better. What would you like to talk about? >> want",
            "That is okay. I still want to be your friend.",
            "I am sorry. Maybe a story will make you smile?",
        ),
        ("You are an idiot.", "What a terrible answer."),
    ),
    Intent(
        "help",
        (
            "(Can you|Could you|Will you) help me(|, please| with something)?",
            "(Please help me|I need help|I need your help|Help|Help me)(!|.)",
            "I have a (problem|question|big problem).",
            "Can I ask you (something|a question)?",
        ),
        (
            "(Of course|Yes|Sure)(|{you})! What do you need? >> problem",
            "I will try(|{you}). What is (wrong|it)? >> problem",
            "Yes, tell me. I am good at (listening|stories|small talk). >> problem",
        ),
        ("Would you give me a hand?", "I could use some help."),
    ),
    Intent(
        "something",
        (
            "(Tell me|Say) something(| new| nice| interesting| funny)(.|, please.)",
            "(I want to learn something|Teach me something|Tell me a fact).",
            "What (do you know|can you teach me|shall we talk about)?",
        ),
        (
            "Did you know that bees make honey?",
            "Did you know that a snail can sleep for a very long time?",
            "Did you know that an octopus has three hearts?",
            "Did you know that penguins are birds, but they cannot fly?",
            "Did you know that the blue whale is the biggest animal?",
            "Did you know that the moon has no light of its own?",
        ),
        ("Surprise me with a fact.",),
    ),
    Intent(
        "game",
        (
            "(Let us|Let's|Can we|Do you want to) play(| a game| something| with me)(.|?)",
            "(I want to play|Play with me|I want to play a game)(.|!)",
        ),
        (
            "Okay! I say a word, and you say the opposite. My word is (big|hot|day|up|fast).",
            "Yes! Tell me an animal, and I will tell you what it (says|eats).",
            "Good idea! Tell me a secret word and ask me for it later.",
            "I like games! Ask me what two plus three is.",
        ),
        ("How about a game?",),
    ),
)
