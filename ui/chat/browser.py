"""What the visitor's browser keeps of the chats: how it is read and written there.

Each chat has an entry of its own under its number, which is drawn at random, so that two windows
never write over each other's chats. Which one is open is each window's own affair; a new window
opens what any had open last. What was asked and is not answered yet is kept for its window alone,
so that a reload does not lose it; of an answer that takes longer, the chat has what is there of it.
"""

_COMMON = """
  const CHAT = "rwkv-playground-chat:", LIST = "rwkv-playground-list";
  const ASKED = "rwkv-playground-asked", OPEN = "rwkv-playground-open";
  const listed = () => {
    try { return { order: [], ...JSON.parse(localStorage.getItem(LIST)) }; }
    catch { return { order: [] }; }
  };"""

# A browser may forbid all storage: the page works without.
READ = (
    "() => {"
    + _COMMON
    + """
  try {
    const names = Object.keys(localStorage).filter((name) => name.startsWith(CHAT));
    const texts = names.map((name) => [name.slice(CHAT.length), localStorage.getItem(name)]);
    const asked = JSON.parse(sessionStorage.getItem(ASKED));
    const list = listed(), open = JSON.parse(sessionStorage.getItem(OPEN)) ?? list.open;
    return { ...list, open, texts: Object.fromEntries(texts), asked };
  } catch { return {}; }
}"""
)

# The chats that another window has kept meanwhile follow in the list.
WRITE = (
    "({ texts, order, open }) => {"
    + _COMMON
    + """
  try {
    for (const [number, text] of Object.entries(texts)) {
      if (text) localStorage.setItem(CHAT + number, text);
      else localStorage.removeItem(CHAT + number);
    }
    const others = listed().order.filter((number) =>
      !order.includes(number) && localStorage.getItem(CHAT + number) !== null);
    localStorage.setItem(LIST, JSON.stringify({ order: [...order, ...others], open }));
    sessionStorage.setItem(OPEN, open);
    // What was asked stands in the chat now.
    if (texts[JSON.parse(sessionStorage.getItem(ASKED))?.slot]) sessionStorage.removeItem(ASKED);
  } catch (error) { console.error("The browser could not keep the chats:", error); }
}"""
)

# Too long a message for the storage is lost by a reload, which does no other harm.
WRITE_ASKED = (
    "(asked) => {"
    + _COMMON
    + """
  try { sessionStorage.setItem(ASKED, JSON.stringify(asked)); } catch { }
}"""
)
FORGET_ASKED = (
    "() => {"
    + _COMMON
    + """
  try { sessionStorage.removeItem(ASKED); } catch { }
}"""
)
