"""Why deliveries fail, by name, and what follows: data only.

`5.x.x is a hard bounce` is wrong two times in three. What counts is what the refusing server says, and where it says
nothing that is known, its status code; most codes say nothing about a person. Rules are tried in this order and the
first that fits wins, so those that let an address live stand before those that end it.

Phrases are regular expressions over the answer in lower case, on one line, with addresses, host names and links taken
out, so that nobody's name decides. docs/feedback.md shows this table; scripts/bench bounces measures it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from forbear.feedback.events import Effect

HARD, SOFT, NONE = Effect.HARD_BOUNCE, Effect.SOFT_BOUNCE, Effect.NONE


@dataclass(frozen=True, slots=True)
class Rule:
    """One cause. `at_rcpt` are phrases that say it only in the answer to RCPT; `statuses` count without any phrase."""

    cause: str
    effect: Effect
    meaning: str
    phrases: tuple[str, ...]
    at_rcpt: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()


RULES: Final = (
    Rule(
        "notaccept",
        HARD,
        "the domain says that it takes no mail at all (RFC 7505)",
        (
            r"(?:host|domain|server) (?:does not|doesn't|never) accepts? (?:any )?(?:e-?)?mails?",
            r"null ?mx",
            r"(?:host|domain) (?:does not|doesn't) receive (?:e-?)?mail",
        ),
    ),
    Rule(
        "authfailure",
        NONE,
        "SPF, DKIM or DMARC of the sender's domain",
        (
            r"\b(?:spf|dkim|dmarc|arc)\b",
            r"sender ?-?id\b",
            r"sender policy framework",
            r"unauthenticated",
            r"not authenticated",
            r"authentication (?:level|failed|failure|checks?|required|information|requirements)",
            r"failed authentication",
            r"does not pass authentication",
        ),
        statuses=("5.7.20", "5.7.21", "5.7.22", "5.7.23", "5.7.24", "5.7.26", "5.7.515"),
    ),
    Rule(
        "requireptr",
        NONE,
        "the sending host's name in the DNS",
        (
            r"\bptr\b",
            r"\brdns\b",
            r"reverse[ -]?(?:dns|host|lookup|address)",
            r"(?:find|resolve|lookup|look up|determine) (?:your|the|a|sending|sender's|client)? ?(?:host ?name|reverse|ip)",
            r"cannot (?:find|resolve) your",
            r"no (?:valid )?host ?name (?:for|found)",
            r"fix reverse",
        ),
        statuses=("5.7.25",),
    ),
    Rule(
        "blocked",
        NONE,
        "the sending host, its name or its reputation",
        (
            r"(?<!may be )black ?-?list",
            r"block ?-?list",
            r"deny ?list",
            r"\bdns[bw]l\b|\brbl\b|\bsbl\b|\bxbl\b|\bpbl\b",
            r"spamhaus|spamcop|sorbs\b|senderbase|cloudmark|invaluement|uceprotect|proofpoint",
            r"reputation",
            r"\bip (?:address )?(?:\S+ ){0,6}(?:blocked|listed|rejected|banned|refused|denied|bloqu)",
            r"\b(?:bad|invalid|poor|dynamic|your) ip\b",
            r"adresse ip",
            r"(?:client|sending) (?:host|server|ip|mta)\b.{0,40}(?:rejected|blocked|refused|banned|denied)",
            r"(?:blocked|banned|rejected) (?:your|this|by|from|due|because|using|for)\b",
            r"(?:has|have) been (?:blocked|banned|temporarily deferred|temporarily rate)",
            r"access denied",
            r"permission denied",
            r"connection (?:denied|rejected|blocked|not allowed)",
            r"relay(?:ing)? (?:access )?(?:denied|not permitted|not allowed|prohibited|quota)",
            r"(?:not|unable|allowed|cannot) (?:allowed |permitted )?to relay",
            r"(?:daily|hourly|relay|sending) (?:relay )?(?:quota|limit)",
            r"temporarily deferred|\btss\d",
            r"refused to talk",
            r"\b(?:helo|ehlo)\b",
            r"invalid domain name",
            r"my name was rejected",
            r"not (?:on|in) (?:the|our|my) (?:white|allow)",
            r"bloqu(?:e|ee|é|ée) pour|bloquee",
            r"e-?mail is redundant",
            r"(?:server|host|network|domain) (?:is|was) (?:blocked|banned|rejected)",
            r"no (?:smtp )?connections? (?:accepted|allowed)",
            r"\bfirewall\b",
        ),
    ),
    Rule(
        "virusdetected",
        NONE,
        "content taken for malware",
        (r"\bvirus", r"malware", r"\binfected", r"trojan", r"\bworm\b", r"phish", r"malicious"),
    ),
    Rule(
        "spamdetected",
        NONE,
        "content taken for spam",
        (
            r"\bspam",
            r"unsolicited",
            r"\bjunk\b",
            r"\bbulk ?mail",
            r"mail rejet",
            r"(?:message|mail|e-mail|content) (?:content )?(?:was |has been |is )?(?:looks|classified|identified|considered|rejected|refused)",
            r"rejected (?:the |your |this )?(?:message|mail|e-mail|content)\b(?! to)",
            r"(?:high|too many) (?:spam )?(?:score|points)",
            r"unwanted (?:content|mail|message)",
        ),
    ),
    Rule(
        "rejected",
        NONE,
        "the sender's address, or what it may do",
        (
            r"sender (?:e-?mail )?(?:address |domain |mailbox )?(?:was |is |has been )?(?:rejected|denied|refused|unknown|not|verif|block|invalid|does|must|unauth)",
            r"(?:invalid|bad|unknown|unverified|unresolvable|unauthorized|forged|disallowed) (?:outbound |envelope )?(?:sender|return|from|mail from)",
            r"(?:mail|envelope) from\b.{0,60}(?:reject|denied|refused|not|invalid|must|exist)",
            r"from (?:address|header|field|domain)",
            r"domain of (?:the )?sender",
            r"sender'?s? (?:e-?mail )?domain",
            r"return path",
            r"not (?:a )?(?:member|subscri)",
            r"(?:not|un) ?(?:authori[sz]ed|allowed|permitted) (?:to (?:send|post|deliver|submit|use|mail)|from|sender)",
            r"(?:do not|don't|does not) have permission",
            r"permission to (?:post|send)",
            r"only (?:accepts?|members)",
            r"(?:group|list) (?:you tried|may not exist|does not)",
            r"verify failed|verification failed",
        ),
        statuses=("5.1.7", "5.1.8", "5.7.27"),
    ),
    Rule(
        "policyviolation",
        NONE,
        "policy, or the form of the message",
        (
            r"\bpolic(?:y|ies)\b",
            r"prohibit",
            r"header (?:error|field|missing|line)",
            r"\brfc ?-?\d",
            r"(?:not|non-?) ?complian",
            r"its content|content (?:error|filter|presents|type|policy)",
            r"attachment",
            r"\bmime\b",
            r"unacceptable|not acceptable",
            r"security (?:reasons|risk|violation)",
            r"(?:message|mail) (?:format|header|is malformed)",
            r"malformed",
            r"syntax error",
            r"missing (?:required|header|date|message-id)",
            r"loop(?:s|ing)?\b|too many hops|hop count",
        ),
    ),
    Rule(
        "toomanyconn",
        NONE,
        "the rate or number of messages or connections",
        (
            r"too many (?:connection|recipient|message|mail|e-?mail|session|error|command|concurrent|invalid|unknown)",
            r"rate (?:limit|exceed)",
            r"throttl",
            r"(?:connection|session)s? (?:limit|rate)",
            r"too (?:fast|frequent|often)",
            r"exceeded the (?:rate|maximum number|limit on the number)",
        ),
    ),
    Rule(
        "mailererror",
        NONE,
        "the program behind an alias",
        (
            r"mailer error",
            r"(?:command|program) (?:died|failed|output)|exit(?:ed)? (?:status|code|with)",
            r"unknown mailer error",
            r"pipe to\b",
        ),
    ),
    Rule(
        "mailboxfull",
        SOFT,
        "no room in the mailbox",
        (
            r"(?:mail ?box|inbox|in-box|mail ?folder|account|maildir|mail ?drop)\W.{0,40}(?:\bfull\b|exceed|over ?quota|size limit|too large|out of space)",
            r"(?:mail ?box|inbox) (?:is )?full",
            r"quota",
            r"(?:not enough|insufficient|no|low on|out of|exceeded|no more) (?:\w+ ){0,2}(?:space|storage)\b",
            r"disk ?space|disk (?:is )?full|storage (?:space|limit|allocation)",
            r"(?:user|account|recipient)\b.{0,30}(?:is full|over ?quota|out of space|too much mail|storage)",
            r"too many messages (?:in|on)",
            r"bo[iî]te (?:aux lettres|du destinataire|de reception|mail)?.{0,20}(?:pleine|satur)",
            r"postfach.{0,30}(?:voll|überschritten)|casella.{0,20}piena|buz[oó]n.{0,20}lleno|cuota",
        ),
        statuses=("5.2.2", "4.2.2"),
    ),
    Rule(
        "suspend",
        SOFT,
        "a mailbox that is closed for now, or not used",
        (
            r"disabled",
            r"suspend",
            r"inactiv|not active|isn't active",
            r"frozen",
            r"deactivated",
            r"(?:account|mail ?box|user|recipient)\b.{0,40}(?:blocked|locked|expired|on hold|terminated|closed)",
            r"compte.{0,40}bloqu",
            r"not currently (?:accepting|available)",
            r"(?:mail ?box|account) (?:is )?(?:temporarily )?(?:unavailable due|unused)",
            r"vacation mode|out of service",
        ),
        statuses=("5.2.1", "5.7.13"),
    ),
    Rule(
        "filtered",
        SOFT,
        "a filter of the recipient's own",
        (
            r"(?:domain|recipient|user|own|mail) ?filter|by (?:a )?filter",
            r"(?:recipient|user|customer|addressee) (?:has |is )?(?:blocked|refus|not accepting|declin|does not want|do not want|doesn't want|rejects)",
            r"recipient not found msexch:",
            r"refus(?:es|ed) to (?:receive|accept)",
            r"reject(?:ed)? by (?:the )?(?:recipient|user|addressee)\b",
        ),
    ),
    Rule(
        "mesgtoobig",
        SOFT,
        "the message is larger than they take",
        (
            r"(?:message|mail|e-mail|line|size|length|body|data|file|header)s? (?:size |length )?(?:limit |is |was |are )?(?:exceed|too (?:big|large|long)|limit)",
            r"exceeds?\b.{0,40}(?:size|limit|length|maximum)",
            r"(?:size|line|length) limit",
            r"too (?:big|large)\b",
            r"maximum (?:message )?size",
        ),
        statuses=("5.2.3", "5.3.4", "4.2.3", "4.3.4"),
    ),
    Rule(
        "hasmoved",
        HARD,
        "somebody else's address now, or nobody's",
        (
            r"(?:user|recipient|account|mail ?box|address|addressee|person)?\b.{0,20}has (?:been )?moved",
            r"(?:address|mailbox|account) (?:has )?changed",
            r"replaced by",
            r"no longer (?:works?|employed|with|at|available|valid|exists?|in use|accept|a valid|on (?:this )?server|active|here)",
            r"not our customer",
            r"(?:new|current|changed) (?:e-?mail )?address",
            r"moved to\b|please (?:use|forward)\b.{0,40}(?:instead|address)",
        ),
        statuses=("5.1.6",),
    ),
    Rule(
        "userunknown",
        HARD,
        "there is no such mailbox",
        (
            r"(?:user|mail ?box|recipient|account|address|addressee|alias|member|person|id|name|local ?part|login|destinataire|utilisateur)s?\b(?: address| name| account| id| e-?mail)? ?(?:is |was |are |were )?(?:unknown|invalid|inexist|non-?existent|inconnu|not (?:exist|found|known|listed|recogni[sz]ed|valid|available here|a valid|local|our))",
            r"(?:unknown|invalid|illegal|bad|no such|non-?existent|nonexisting|unrecognized|inexistant|undefined) (?:or (?:illegal|invalid|unknown) )?(?:local |destination |final |e-?mail |mail |virtual |recipient |delivery |user |smtp |mailbox |rcpt )*(?:user|mail ?box|recipient|account|address|addressee|alias|person|id|name|local ?-?part|userid|mailaddress|delivery)",
            r"(?:user|mail ?box|recipient|account|address|addressee|person|member)\b.{0,30}(?:does not|doesn't|did not|didn't|do not|don't|cannot|can't|could not|couldn't|wasn't|isn't|is not|was not|not) (?:be )?(?:exist|found|find|known|reside|recogni[sz]ed|listed|have an? (?:\S+ )?(?:account|mail ?box)|a (?:known|valid|registered))",
            r"(?:does not|doesn't|n'existe|no) (?:pas )?(?:such )?(?:exist|have an? \S+ account)",
            r"(?:unable to|cannot|can't|couldn't|could not) (?:find|locate|verify) (?:the |this |that |any )?(?:user|mail ?box|recipient|account|address|person)",
            r"no (?:such |valid |local )?(?:user|mail ?box|recipient|account|person|address|one)\b.{0,20}(?:here|by that name|with that|called|found|in (?:this|our))",
            r"(?:don't|do not|doesn't|does not) (?:handle mail for|have (?:an?|any) (?:account|mail ?box|user)|know (?:this|that|the|him))",
            r"that email account|e-?mail account that you tried to reach does not",
            r"(?:user|recipient|name|address)\b.{0,40}not (?:listed|found) in",
            r"not listed in (?:domino|public|the|notes|our)",
            r"user unknown|unknown user|unknown recipient|recipient unknown|addressee unknown|unknown address",
            r"not (?:a )?(?:known|valid|registered) (?:user|mail ?box|recipient|account|address)",
            r"recipient not found|recipientnotfound|resolver\.adr\.\S*notfound|resolver\.adr\.exrecip",
            r"unrouteable address|unroutable address|undeliverable address",
            r"wasn't found|couldn't be found",
            r"見つかりません|存在しません|該当するアカウントがありません",
            r"no existe|existiert nicht|unbekannt|inconnu|sconosciut|niet bekend|desconocid|не найден|не существует|нет такого",
        ),
        at_rcpt=(
            r"recipient (?:address )?rejected\.?\W*(?:\(|\[|$)",
            r"mail ?box (?:is )?unavailable(?!.{0,20}for explanation)",
            r"^[\W\d]*address rejected\W*$",
            r"invalid recipients?\b",
            r"no valid recipients|bad recipient",
        ),
        statuses=("5.1.1", "5.1.3"),
    ),
    Rule(
        "hostunknown",
        HARD,
        "there is no such domain",
        (
            r"(?:host|domain|server|dns)\b(?: name)?(?: or domain name| or host name)?(?: is| was| does| has)? ?(?:unknown|not (?:found|exist|known)|non-?existent|doesn't exist|does not exist|invalid)",
            r"(?:unknown|no such|non-?existent|bad destination|invalid|unresolvable) (?:mail )?(?:host|domain|destination (?:host|domain|system)|system)",
            r"nxdomain",
            r"no (?:mail exchanger|mx(?: or a| records?)?|dns (?:data|records?|entry)|a records?)\b",
            r"(?:couldn't|could not|cannot|can't|unable to) (?:find|resolve|locate|look ?up) (?:a |any |the )?(?:mail exchanger|host|domain|mx|ip address|address record)",
            r"account or domain may not exist",
            r"unrouteable (?:mail )?domain|illegal host|domain (?:has )?expired",
            r"dns (?:error|lookup failure|failure).{0,40}(?:not found|nxdomain|no such)",
        ),
        statuses=("5.1.2", "5.1.10"),
    ),
    Rule(
        "expired",
        SOFT,
        "given up after many tries",
        (
            r"expired",
            r"time(?:d|s)? ?-?out",
            r"too long|long time",
            r"giving up|given up",
            r"could not deliver for the last",
            r"retry (?:time|count|limit)",
            r"delivery time",
            r"delayed|retried",
        ),
    ),
    Rule(
        "networkerror",
        SOFT,
        "no way to their server",
        (
            r"connection (?:was )?(?:refused|reset|lost|closed|dropped|failed|broken|died)",
            r"no route|unreachable",
            r"did not accept our requests",
            r"network (?:error|problem|failure|is)",
            r"(?:host|server) (?:is )?(?:down|not responding|unavailable)",
            r"(?:unable|failed|couldn't|could not|wasn't able) to (?:connect|establish|contact|send to|open)",
            r"tls (?:is required|handshake|error)|starttls",
        ),
    ),
    Rule(
        "systemerror",
        SOFT,
        "their server",
        (
            r"service (?:is )?(?:currently |temporarily )?(?:unavailable|refuse|not available)",
            r"(?:system|internal|local|server|configuration|software|resource|processing|io|i/o|database|ldap|lookup) (?:error|failure|problem|fault)",
            r"temporar",
            r"try (?:again|later)|veuillez essayer",
            r"resources|overload|busy",
            r"queue file|write error|out of memory",
            r"gr[ea]y-?list",
        ),
    ),
)

OTHER_STATUSES: Final[Mapping[str, tuple[str, Effect]]] = {"4": ("temporary", SOFT), "5": ("undefined", NONE)}
"""What the class of a code says where nothing else does (DS-06, DS-07): cause and effect."""

CAUSES: Final = {rule.cause: rule for rule in RULES}
