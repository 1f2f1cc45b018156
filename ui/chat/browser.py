"""What the visitor's browser keeps of the chats: how it is read and written there.

Each chat has an entry of its own under its number, which is drawn at random, so that two windows
never write over each other's chats. Which one is open is each window's own affair; a new window
opens what any had open last. What was asked and is not answered yet is kept for its window alone,
so that a reload does not lose it; of an answer that takes longer, the chat has what is there of it.
"""

_COMMON = """
  const CHAT = "rwkv-playground-chat:", LIST = "rwkv-playground-list";
  const ASKED = "rwkv-playground-asked", OPEN = "rwkv-playground-open";
  const DRAFT = "rwkv-playground-draft:chat-box";
  const listed = () => {
    try { return { order: [], ...JSON.parse(localStorage.getItem(LIST)) }; }
    catch { return { order: [] }; }
  };"""

# What was asked when the page was left goes back into its box, before what was typed there since.
# It is the draft from then on.
_TAKE_ASKED = """
  const takeAsked = () => {
    const asked = JSON.parse(sessionStorage.getItem(ASKED));
    if (!asked?.text) return null;
    const typed = sessionStorage.getItem(DRAFT) ?? "";
    const text = !typed || typed === asked.text ? asked.text : `${asked.text}\\n${typed}`;
    sessionStorage.setItem(DRAFT, text);
    sessionStorage.removeItem(ASKED);
    return { ...asked, text };
  };"""

# A browser may forbid all storage: the page works without.
READ = (
    "() => {"
    + _COMMON
    + _TAKE_ASKED
    + """
  try {
    const names = Object.keys(localStorage).filter((name) => name.startsWith(CHAT));
    const texts = names.map((name) => [name.slice(CHAT.length), localStorage.getItem(name)]);
    const list = listed(), open = JSON.parse(sessionStorage.getItem(OPEN)) ?? list.open;
    const isOwn = sessionStorage.getItem(OPEN) !== null;
    return { ...list, open, isOwn, texts: Object.fromEntries(texts), asked: takeAsked() };
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

# What a link asked for is a chat now, which a reload brings back instead of asking again.
LEAVE_LINK = """() => {
  const address = new URL(location.href);
  if (!address.searchParams.has("recipe")) return;
  address.searchParams.delete("recipe");
  history.replaceState(history.state, "", address);
}"""


def send_from(column: str) -> str:
    """What the browser does before a message leaves its box, which is empty at once.

    Until the server answers, or is given up, no other chat can be opened: the message would be
    answered there.

    Args:
        column: "chat" or "fork", how the column's ids begin.
    """
    return (
        "(text) => {"
        + _COMMON
        + f"""
  if (!text.trim()) return text;
  const box = document.querySelector("#{column}-box textarea"), talk = box.closest(".talk");
  talk.dataset.sending = "";
  setTimeout(() => delete talk.dataset.sending, 10_000);
  try {{
    const slot = JSON.parse(sessionStorage.getItem(OPEN)) ?? 0;
    if ("{column}" === "chat") sessionStorage.setItem(ASKED, JSON.stringify({{ text, slot }}));
  }} catch {{ }}
  box.value = "";
  box.dispatchEvent(new Event("input", {{ bubbles: true }}));
  return text;
}}"""
    )
