"""The managed lists of words: what nearly everybody holds for profane, in English."""

from collections.abc import Mapping

_PROFANITY = """
arse arsehole arseholes ass asses asshole assholes bastard bastards bitch bitches bitching bitchy
bollocks bullshit bullshitter clusterfuck cock cocks cocksucker cocksuckers crap crappy cum
cumshot cunt cunts damn dammit goddamn goddamned goddammit dick dickhead dickheads dicks dipshit
douche douchebag douchebags dumbass dumbasses fuck fucked fucker fuckers fuckhead fuckin fucking
fucks fuckup fuckwit horseshit jackass jackasses jizz motherfucker motherfuckers motherfucking
piss pissed pissing prick pricks pussies pussy shit shite shithead shitheads shithole shits
shitting shitty skank skanks slut sluts slutty tit tits titties tosser tossers twat twats wank
wanker wankers wanking whore whores
"""
LISTS: Mapping[str, tuple[str, ...]] = {"PROFANITY": tuple(_PROFANITY.split())}
