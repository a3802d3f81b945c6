"""The stories of TinyTown: thirty-two kinds, each with several tellings. Data only; `story.py` gives them meaning.

A line is a sentence, then `|`, then the facts it states, separated by `;`.

    {A} has a {colour} {thing}. | has A thing; colour thing colour

Slots: A B C people · pet · thing · colour · place (`{place.in}` = "in the garden", `{place.to}` = "to the garden") · spot
(a hiding place) · items (countable, plural) · n m (numbers) · food · dish · glad, upset (feelings) · time · weather. A digit
makes another one of the kind (thing2). `{A.he}`, `{A.He}`, `{A.his}`, `{A.him}` are pronouns. `<words>` in angle brackets are words
a fact rests on although they fill no slot.

Facts: has WHO thing · lost thing (nobody has it) · colour thing colour · at WHO-or-thing place · feels WHO feeling ·
why WHO clause ("Because ...") · count WHO items n · more / fewer WHO items m · did WHO base|past rest · first / last WHO ·
owns WHO pet · likes WHO food · weather WORD · time WORD · with WHO WHO.

The last telling of each kind is held out: training never sees it.
"""

# fmt: off

TELLINGS: dict[str, list[str]] = {
    "finding": [
        """{A} went {place.to}. | at A place
           There {A.he} <found> a {colour} {thing}. | has A thing; colour thing colour; did A find|found the {thing}
           {A} was {glad} because {A.he} <found> the {thing}. | feels A glad; why A {he} found the {thing}""",
        """{A} walked {place.to} with {B}. | at A place; at B place; with A B
           {B} <found> a {thing} there. | has B thing; did B find|found the {thing}
           The {thing} was {colour}. | colour thing colour
           {B} was {glad} because {B.he} <found> the {thing}. | feels B glad; why B {he} found the {thing}""",
        """{A} was {place.in}. | at A place
           {A} looked down and <found> a {colour} {thing}. | has A thing; colour thing colour; did A find|found the {thing}
           {A.He} showed it to {B}. | did A show|showed the {thing} to {B}""",
        """One day {A} came {place.to}. | at A place
           {A} <found> a {colour} {thing} on the ground. | has A thing; colour thing colour; did A find|found the {thing}
           {A} felt {glad}. | feels A glad""",
    ],
    "losing": [
        """{A} had a {colour} {thing}. | has A thing; colour thing colour
           {A} <lost> the {thing} {place.in}. | lost thing; at thing place; did A lose|lost the {thing}
           {A} was {upset} because {A.he} <lost> the {thing}. | feels A upset; why A {he} lost the {thing}""",
        """{A} played {place.in} with a {thing}. | has A thing; at A place
           Then {A} <lost> the {thing}. | lost thing; did A lose|lost the {thing}
           {A} was {upset} because {A.he} <lost> the {thing}. | feels A upset; why A {he} lost the {thing}
           {B} <found> the {thing} {place2.in}. | has B thing; did B find|found the {thing}; at B place2""",
        """{A} <lost> a {colour} {thing}. | lost thing; colour thing colour; did A lose|lost the {thing}
           {A} felt {upset}. | feels A upset
           {B} <found> the {thing} and gave it to {A}. | has A thing; did B find|found the {thing}
           Now {A} is {glad} because {B} <found> the {thing}. | feels A glad; why A {B} found the {thing}""",
        """One day {A} <lost> a {colour} {thing} {place.in}. | lost thing; at thing place; colour thing colour; did A lose|lost the {thing}
           {A} was {upset} because {A.he} <lost> the {thing}. | feels A upset; why A {he} lost the {thing}""",
    ],
    "lending": [
        """{A} had a {colour} {thing}. | has A thing; colour thing colour
           {A} <lent> the {thing} to {B}. | has B thing; did A lend|lent the {thing} to {B}
           {B} took it {place.to}. | at B place
           {B} was {glad} because {A} <lent> {B.him} the {thing}. | feels B glad; why B {A} lent {him} the {thing}""",
        """{B} needed a {thing}. |
           {A} <lent> {B} a {colour} {thing}. | has A thing; has B thing; colour thing colour; did A lend|lent the {thing} to {B}
           Later {B} <gave> the {thing} back to {A}. | has A thing; did B give|gave the {thing} to {A}""",
        """{A} <lent> {B} a {thing}. | has A thing; has B thing; did A lend|lent the {thing} to {B}
           Then {B} <lent> the {thing} to {C}. | has C thing; did B lend|lent the {thing} to {C}
           {C} went {place.to}. | at C place""",
        """{A} <lent> a {colour} {thing} to {B}. | has A thing; has B thing; colour thing colour; did A lend|lent the {thing} to {B}
           {B} felt {glad}. | feels B glad
           {B} walked {place.to}. | at B place""",
    ],
    "swapping": [
        """{A} had a {colour} {thing}. | has A thing; colour thing colour
           {B} had a {colour2} {thing2}. | has B thing2; colour thing2 colour2
           They <swapped>. Now {A} has the {thing2} and {B} has the {thing}. | has A thing2; has B thing
           {A} and {B} were {glad}. | feels A glad; feels B glad""",
        """{A} met {B} {place.in}. | at A place; at B place; with A B
           {A} had a {thing} and {B} had a {thing2}. | has A thing; has B thing2
           {A} <gave> {B} the {thing}. | has B thing; did A give|gave the {thing} to {B}
           {B} <gave> {A} the {thing2}. | has A thing2; did B give|gave the {thing2} to {A}""",
        """{A} <swapped> a {thing} for a {thing2}. | has A thing2
           Now {B} has the {thing}. | has B thing
           The {thing} is {colour} and the {thing2} is {colour2}. | colour thing colour; colour thing2 colour2""",
        """{A} had a {thing} and {B} had a {thing2}. | has A thing; has B thing2
           They <swapped>. Now {A} has the {thing2} and {B} has the {thing}. | has A thing2; has B thing
           The {thing} was {colour}. | colour thing colour""",
    ],
    "hiding": [
        """{A} had a {colour} {thing}. | has A thing; colour thing colour
           {A} <hid> the {thing} {spot.in}. | lost thing; at thing spot; did A hide|hid the {thing}
           {B} looked {spot2.in} first. |
           Then {B} <found> the {thing}. | did B find|found the {thing}; has B thing""",
        """{A} <hid> a {colour} {thing} {spot.in}. | at thing spot; colour thing colour; did A hide|hid the {thing}
           {B} <hid> a {colour2} {thing2} {spot2.in}. | at thing2 spot2; colour thing2 colour2; did B hide|hid the {thing2}
           {A} was {glad}. | feels A glad""",
        """{A} put a {thing} {spot.in}. | at thing spot; did A put|put the {thing} {spot.in}
           When {A} was away, {B} <moved> the {thing}. | did B move|moved the {thing}
           Now the {thing} is {spot2.in}. | at thing spot2
           {A} was {upset} because {B} <moved> the {thing}. | feels A upset; why A {B} moved the {thing}""",
        """{A} <hid> a {colour} {thing} {spot.in}. | at thing spot; colour thing colour; did A hide|hid the {thing}
           {B} <moved> the {thing}. Now it is {spot2.in}. | at thing spot2; did B move|moved the {thing}
           {A} felt {upset}. | feels A upset""",
    ],
    "cooking": [
        """{A} and {B} were {place.in}. | at A place; at B place; with A B
           {A} <cooked> {dish}. | did A cook|cooked {dish}
           {B} set the table. | did B set|set the table
           {B} was {glad} because {B.he} <likes> {dish}. | feels B glad; likes B dish; why B {he} likes {dish}""",
        """{A} likes {dish}. | likes A dish
           So {B} <cooked> {dish} for {A}. | did B cook|cooked {dish}
           Then {A} <washed> the plates. | did A wash|washed the plates
           {A} was {glad} because {B} <cooked> {dish}. | feels A glad; why A {B} cooked {dish}""",
        """{A} wanted to cook {dish}. |
           First {A} <bought> {n} {items}. | count A items n; did A buy|bought {n} {items}
           Then {A} <cooked> {dish}. | did A cook|cooked {dish}
           {B} ate it and felt {glad}. | feels B glad""",
        """{A} <cooked> {dish} {place.in}. | at A place; did A cook|cooked {dish}
           {B} <washed> the plates. | did B wash|washed the plates
           {A} was {glad} because {B} <washed> the plates. | feels A glad; why A {B} washed the plates""",
    ],
    "birthday": [
        """It was {A}'s birthday. | did A have|had a birthday
           {B} <gave> {A} a {colour} {thing}. | has A thing; colour thing colour; did B give|gave the {thing} to {A}
           {C} <baked> a cake. | did C bake|baked a cake
           {A} was {glad} because {B} <gave> {A.him} a {thing}. | feels A glad; why A {B} gave {him} a {thing}""",
        """{A} had a birthday party {place.in}. | at A place; did A have|had a birthday
           {B} brought a {colour} {thing} and {C} brought a {colour2} {thing2}. | colour thing colour; colour thing2 colour2; did B bring|brought the {thing}; did C bring|brought the {thing2}
           {A} took the {thing} and the {thing2}. | has A thing; has A thing2
           {A} felt {glad}. | feels A glad""",
        """On {A}'s birthday {B} <baked> a cake. | did A have|had a birthday; did B bake|baked a cake
           There were {n} candles on the cake. |
           {C} <gave> {A} a {thing}. | has A thing; did C give|gave the {thing} to {A}""",
        """{A} had a birthday. | did A have|had a birthday
           {B} <gave> {A} a {colour} {thing}. | has A thing; colour thing colour; did B give|gave the {thing} to {A}
           {A} was {glad}. | feels A glad""",
    ],
    "race": [
        """{A}, {B} and {C} ran a race {place.in}. | at A place; at B place; at C place
           {A} came <first>, {B} came second and {C} came <last>. | first A; last C
           {A} was {glad} because {A.he} <won> the race. | feels A glad; why A {he} won the race; did A win|won the race""",
        """There was a race {place.to}. |
           {A} <won> the race. | first A; did A win|won the race
           {B} was second and {C} was <last>. | last C
           {C} was {upset} because {C.he} was <last>. | feels C upset; why C {he} was last""",
        """{A}, {B} and {C} had a race. |
           {B} fell down. | did B fall|fell down
           So {B} came <last> and {C} came <first>. | first C; last B
           {B} was {upset} because {B.he} <fell> down. | feels B upset; why B {he} fell down""",
        """{A}, {B} and {C} ran {place.to}. | at A place; at B place; at C place
           {B} came <first> and {A} came <last>. | first B; last A
           {B} felt {glad}. | feels B glad""",
    ],
    "storm": [
        """There was a big <storm>. | weather stormy
           {A} was {upset} because the storm was <loud>. | feels A upset; why A the storm was loud
           {B} <closed> the window. | did B close|closed the window
           {A} and {B} stayed {place.in}. | at A place; at B place; with A B""",
        """{A} and {pet.a} called {pet} were {place.in}. | at A place; at pet place; owns A pet
           Then a <storm> came. | weather stormy
           {pet} ran {place2.to}. | at pet place2; did pet run|ran away
           {A} was {upset} because {pet} <ran> away. | feels A upset; why A {pet} ran away""",
        """A <storm> broke the roof. | weather stormy
           {A} <brought> a {thing}. | has A thing; did A bring|brought the {thing}
           {B} <repaired> the roof. | did B repair|repaired the roof
           {A} was {glad} because {B} <repaired> the roof. | feels A glad; why A {B} repaired the roof""",
        """A <storm> came and {A} ran {place.to}. | at A place; weather stormy
           {B} <closed> the door. | did B close|closed the door
           {A} was {upset} because the storm was <loud>. | feels A upset; why A the storm was loud""",
    ],
    "planting": [
        """{A} had {n} seeds. |
           {A} <planted> the seeds {place.in}. | at A place; did A plant|planted the seeds
           {B} <watered> the seeds. | did B water|watered the seeds
           Soon there was a {colour} flower, and {A} was {glad}. | feels A glad""",
        """{A} <planted> a tree {place.in}. | at A place; did A plant|planted a tree
           The tree gave {n} {items}. |
           {B} <picked> the {items}. | count B items n; did B pick|picked the {items}
           {A} was {glad} because the tree <grew>. | feels A glad; why A the tree grew""",
        """First {A} <dug> a hole. | did A dig|dug a hole
           Then {B} <planted> a tree. | did B plant|planted a tree
           At last {A} <watered> the tree {place.in}. | did A water|watered the tree; at A place""",
        """{A} <dug> a hole {place.in}. | at A place; did A dig|dug a hole
           {B} <planted> a tree. | did B plant|planted a tree
           {B} felt {glad}. | feels B glad""",
    ],
    "picnic": [
        """{A} and {B} had a picnic {place.in}. | at A place; at B place; with A B
           {A} brought {food} and {B} brought {food2}. | did A bring|brought {food}; did B bring|brought {food2}
           {A} was {glad} because {A.he} <likes> {food2}. | feels A glad; likes A food2; why A {he} likes {food2}""",
        """{A} took a {colour} {thing} to the picnic. | has A thing; colour thing colour
           {B} brought {n} {items}. | count B items n; did B bring|brought {n} {items}
           {A} <ate> {food} and was {glad}. | feels A glad; did A eat|ate {food}""",
        """They had a picnic {place.in}. |
           {A} <forgot> the {food}. | did A forget|forgot the {food}
           {B} was {upset} because {A} <forgot> the {food}. | feels B upset; why B {A} forgot the {food}
           {C} <brought> {food2}. | did C bring|brought {food2}""",
        """{A} and {B} had a picnic {place.in}. | at A place; at B place; with A B
           {B} <brought> {food}. | did B bring|brought {food}
           {A} was {glad}. | feels A glad""",
    ],
    "market": [
        """{A} went to the market and <bought> {n} {items}. | count A items n; did A buy|bought {n} {items}
           {B} <bought> a {colour} {thing}. | has B thing; colour thing colour; did B buy|bought the {thing}
           Then they went {place.to}. | at A place; at B place; with A B""",
        """{A} <bought> {n} {items} at the market. | count A items n; did A buy|bought {n} {items}
           {A} gave {B} {m} {items}. | fewer A items m; count B items m; did A give|gave {m} {items} to {B}
           {B} was {glad} because {B.he} likes presents. | feels B glad; why B {he} likes presents""",
        """{A} <sold> a {thing} at the market. | did A sell|sold the {thing}
           {B} <bought> the {thing}. | has B thing; did B buy|bought the {thing}
           The {thing} was {colour}. | colour thing colour
           {A} was {glad} because {A.he} <sold> the {thing}. | feels A glad; why A {he} sold the {thing}""",
        """{A} <bought> a {colour} {thing} at the market. | has A thing; colour thing colour; did A buy|bought the {thing}
           {B} <bought> {n} {items}. | count B items n; did B buy|bought {n} {items}
           {B} felt {glad}. | feels B glad""",
    ],
    "fishing": [
        """{A} and {B} went fishing {place.in}. | at A place; at B place; with A B
           {A} <caught> a big fish. | did A catch|caught a fish
           {B} <caught> an old boot. | did B catch|caught a boot
           {B} was {upset} because {B.he} <caught> a boot. | feels B upset; why B {he} caught a boot""",
        """{A} sat {place.in} with a net. | at A place
           First {A} <caught> a boot. | did A catch|caught a boot
           Then {A} <caught> a {colour} {thing}. | has A thing; colour thing colour; did A catch|caught the {thing}
           {A} was {glad}. | feels A glad""",
        """{A} <caught> a fish. | did A catch|caught a fish
           {B} <cooked> the fish. | did B cook|cooked the fish
           {C} <ate> the fish {place.in}. | at C place; did C eat|ate the fish
           {C} felt {glad}. | feels C glad""",
        """{A} went fishing {place.in}. | at A place
           {A} <caught> a fish. | did A catch|caught a fish
           {A} was {glad} because {A.he} <caught> a fish. | feels A glad; why A {he} caught a fish""",
    ],
    "snow day": [
        """It <snowed> a lot. | weather snowy
           {A} <built> a snowman {place.in}. | at A place; did A build|built a snowman
           {B} <gave> the snowman a {colour} {thing}. | colour thing colour; lost thing; did B give|gave the snowman a {thing}
           {A} was {glad} because it <snowed>. | feels A glad; why A it snowed""",
        """There was <snow> {place.in}. | weather snowy
           {A} <threw> a snowball at {B}. | did A throw|threw a snowball
           {B} was {upset} because the snow was <cold>. | feels B upset; why B the snow was cold
           Then {B} <went> home. | did B go|went home""",
        """{A} and {B} played in the <snow> {place.in}. | weather snowy; at A place; at B place; with A B
           {B} <lost> a {colour} {thing}. | colour thing colour; lost thing; did B lose|lost the {thing}
           {A} <found> the {thing}. | has A thing; did A find|found the {thing}""",
        """{A} <built> a snowman {place.in}. | at A place; did A build|built a snowman
           {B} <threw> a snowball. | did B throw|threw a snowball
           {A} was {glad} because it <snowed>. | feels A glad; why A it snowed; weather snowy""",
    ],
    "lost pet": [
        """{A} had {pet.a} called {pet}. | owns A pet
           One day {pet} <ran> away. | did pet run|ran away
           {A} was {upset} because {pet} <ran> away. | feels A upset; why A {pet} ran away
           {B} <found> {pet} {place.in}. | at pet place; did B find|found {pet}; at B place""",
        """{A} looked for {pet}, {A.his} {pet.kind}. | owns A pet
           {pet} was {spot.in}. | at pet spot
           {A} was {glad} because {pet} was <safe>. | feels A glad; why A {pet} was safe
           {B} <gave> {pet} some {food}. | did B give|gave {pet} some {food}""",
        """{B} <saw> {pet.a} {place.in}. | at pet place; at B place; did B see|saw the {pet.kind}
           It was {pet}, the {pet.kind} of {A}. | owns A pet
           {B} <brought> {pet} home. | did B bring|brought {pet} home
           {A} was {glad} because {B} <brought> {pet} home. | feels A glad; why A {B} brought {pet} home""",
        """{A} had {pet.a} called {pet}. | owns A pet
           {pet} <ran> {place.to}. | at pet place; did pet run|ran away
           {A} was {upset} because {pet} <ran> away. | feels A upset; why A {pet} ran away""",
    ],
    "new friend": [
        """{A} was new in town and felt {upset}. | feels A upset
           {B} <said> hello to {A} {place.in}. | at A place; at B place; with A B; did B say|said hello
           {B} <showed> {A} a {colour} {thing}. | has B thing; colour thing colour; did B show|showed the {thing} to {A}
           Now {A} is {glad} because {B} <said> hello. | feels A glad; why A {B} said hello""",
        """{A} <met> {B} {place.in}. | at A place; at B place; with A B; did A meet|met {B}
           {A} likes {food} and {B} likes {food2}. | likes A food; likes B food2
           {A} was {glad} because {A.he} <met> {B}. | feels A glad; why A {he} met {B}""",
        """{A} was alone {place.in}. | at A place
           {A} was {upset} because {A.he} was <alone>. | feels A upset; why A {he} was alone
           {B} <came> and brought a {thing}. | has B thing; did B come|came; did B bring|brought the {thing}""",
        """{A} <met> {B} {place.in}. | at A place; at B place; with A B; did A meet|met {B}
           {B} <gave> {A} a {colour} {thing}. | has A thing; colour thing colour; did B give|gave the {thing} to {A}
           {A} felt {glad}. | feels A glad""",
    ],
    "school": [
        """{A} and {B} were at school. | with A B
           {A} <read> a book and {B} <drew> a {colour} {thing}. | colour thing colour; did A read|read a book; did B draw|drew a {thing}
           The teacher was {C}. | did C teach|taught the class
           {A} was {glad} because {A.he} <likes> books. | feels A glad; why A {he} likes books""",
        """{A} <forgot> a {thing} at home. | lost thing; did A forget|forgot the {thing}
           {A} was {upset} because {A.he} <forgot> the {thing}. | feels A upset; why A {he} forgot the {thing}
           {B} <lent> {A} a {colour2} {thing2}. | has A thing2; colour thing2 colour2; did B lend|lent the {thing2} to {A}""",
        """First {A} <read> a book. | did A read|read a book
           Then {A} <wrote> a letter to {B}. | did A write|wrote a letter
           At last {A} <played> {place.in}. | at A place; did A play|played outside""",
        """{A} <forgot> a {colour} {thing} {place.in}. | lost thing; at thing place; colour thing colour; did A forget|forgot the {thing}
           {B} <brought> the {thing} to {A}. | has A thing; did B bring|brought the {thing} to {A}
           {A} was {glad}. | feels A glad""",
    ],
    "painting": [
        """{A} had a {colour2} {thing}. | has A thing; colour thing colour2
           {A} <painted> the {thing} {colour}. | colour thing colour; did A paint|painted the {thing}
           {B} liked the {colour} {thing} and was {glad}. | feels B glad""",
        """{A} had a {colour} {thing}. | has A thing; colour thing colour
           {B} <painted> the {thing} {colour2}. | colour thing colour2; did B paint|painted the {thing}
           {A} was {upset} because {B} <painted> the {thing}. | feels A upset; why A {B} painted the {thing}""",
        """{A} <painted> a picture of {pet}, the {pet.kind} of {B}. | owns B pet; did A paint|painted a picture
           {B} was {glad} because {A} <painted> a picture. | feels B glad; why B {A} painted a picture
           They were {place.in}. | at A place; at B place; with A B""",
        """The {thing} of {A} was {colour}. | has A thing; colour thing colour
           {B} <painted> the {thing} {colour2}. | colour thing colour2; did B paint|painted the {thing}
           {A} felt {glad}. | feels A glad""",
    ],
    "music": [
        """{A} <played> the drum {place.in}. | at A place; did A play|played the drum
           {B} <sang> a song. | did B sing|sang a song
           {C} <danced>. | did C dance|danced
           {C} was {glad} because {B} <sang> a song. | feels C glad; why C {B} sang a song""",
        """{A} <sang> a song for {B}. | did A sing|sang a song
           {B} <gave> {A} a {colour} {thing}. | has A thing; colour thing colour; did B give|gave the {thing} to {A}
           {A} was {glad} because {B} <gave> {A.him} a {thing}. | feels A glad; why A {B} gave {him} a {thing}""",
        """{A} <played> the flute. | did A play|played the flute
           {B} was {upset} because the flute was <loud>. | feels B upset; why B the flute was loud
           So {A} went {place.to}. | at A place""",
        """{A} <played> the drum {place.in}. | at A place; did A play|played the drum
           {B} was {upset} because the drum was <loud>. | feels B upset; why B the drum was loud""",
    ],
    "boat trip": [
        """{A} and {B} took a boat {place.to}. | at A place; at B place; with A B
           {A} <dropped> a {colour} {thing} into the water. | lost thing; colour thing colour; did A drop|dropped the {thing}
           {A} was {upset} because {A.he} <dropped> the {thing}. | feels A upset; why A {he} dropped the {thing}
           {B} <caught> the {thing} with a net. | has B thing; did B catch|caught the {thing}""",
        """{A} had a {colour} boat. |
           {B} <broke> the boat. | did B break|broke the boat
           {A} was {upset} because {B} <broke> the boat. | feels A upset; why A {B} broke the boat
           {C} <repaired> the boat {place.in}. | at C place; did C repair|repaired the boat""",
        """First {A} <cleaned> the boat. | did A clean|cleaned the boat
           Then {B} <sailed> the boat {place.to}. | at B place; did B sail|sailed the boat
           {B} was {glad}. | feels B glad""",
        """{A} <sailed> the boat {place.to}. | at A place; did A sail|sailed the boat
           {B} <dropped> a {colour} {thing}. | lost thing; colour thing colour; did B drop|dropped the {thing}
           {B} was {upset} because {B.he} <dropped> the {thing}. | feels B upset; why B {he} dropped the {thing}""",
    ],
    "camping": [
        """{A}, {B} and {C} camped {place.in}. | at A place; at B place; at C place
           {A} <made> a fire. | did A make|made a fire
           {B} <cooked> {dish}. | did B cook|cooked {dish}
           {C} <told> a story and all were {glad}. | feels A glad; feels B glad; feels C glad; did C tell|told a story""",
        """{A} and {B} slept in a tent {place.in}. | at A place; at B place; with A B
           {A} <heard> an owl. | did A hear|heard an owl
           {A} was {upset} because {A.he} <heard> an owl. | feels A upset; why A {he} heard an owl
           {B} <lit> a lamp. | did B light|lit a lamp""",
        """{A} <put> up a {colour} tent {place.in}. | at A place; did A put|put up the tent
           {B} <forgot> the {thing}. | lost thing; did B forget|forgot the {thing}
           {B} felt {upset}. | feels B upset""",
        """{A} and {B} camped {place.in}. | at A place; at B place; with A B
           {B} <made> a fire. | did B make|made a fire
           {A} was {glad} because {B} <made> a fire. | feels A glad; why A {B} made a fire""",
    ],
    "moving house": [
        """{A} moved from the {place} to a house near the {place2}. |
           {B} <carried> the {colour} {thing}. | has B thing; colour thing colour; did B carry|carried the {thing}
           {C} <carried> the {colour2} {thing2}. | has C thing2; colour thing2 colour2; did C carry|carried the {thing2}
           {A} was {glad} because {B} and {C} <helped>. | feels A glad; why A {B} and {C} helped""",
        """{A} <packed> a {colour} {thing} in a box. | has A thing; colour thing colour; did A pack|packed the {thing}
           {B} <carried> the box {place.to}. | at B place; did B carry|carried the box
           {A} was {upset} because {A.he} <moved> away. | feels A upset; why A {he} moved away""",
        """{A} <moved> into a new house. | did A move|moved into a new house
           {A} put the {thing} {spot.in} and the {thing2} {spot2.in}. | at thing spot; at thing2 spot2
           {B} <brought> {food} and {A} was {glad}. | feels A glad; did B bring|brought {food}""",
        """{A} <moved> into a new house. | did A move|moved into a new house
           {B} <carried> the {colour} {thing}. | has B thing; colour thing colour; did B carry|carried the {thing}
           {A} was {glad} because {B} <helped>. | feels A glad; why A {B} helped""",
    ],
    "library": [
        """{A} went to the library with {B}. | with A B
           {A} <took> a book about {animals}. | did A take|took a book about {animals}
           {B} <took> a book about {animals2}. | did B take|took a book about {animals2}
           {A} was {glad} because {A.he} likes {animals}. | feels A glad; why A {he} likes {animals}""",
        """{A} <lost> a library book {place.in}. | at A place; did A lose|lost a book
           {A} was {upset} because {A.he} <lost> a book. | feels A upset; why A {he} lost a book
           {B} <found> the book {spot.in}. | did B find|found the book""",
        """First {A} <read> a book about {animals}. | did A read|read a book about {animals}
           Then {A} <went> {place.to} and drew {animals}. | at A place; did A draw|drew {animals}
           {B} felt {glad}. | feels B glad""",
        """{A} <took> a book about {animals}. | did A take|took a book about {animals}
           {B} <read> the book {place.in}. | at B place; did B read|read the book
           {B} was {glad} because {B.he} likes {animals}. | feels B glad; why B {he} likes {animals}""",
    ],
    "sharing": [
        """{A} had {n} {items}. | count A items n
           {A} <gave> {m} {items} to {B}. | fewer A items m; count B items m; did A give|gave {m} {items} to {B}
           {B} was {glad} because {A} <shared>. | feels B glad; why B {A} shared""",
        """{A} had {n} {items} and {B} had {m} {items}. | count A items n; count B items m
           {C} had no {items}, so {A} <shared>. | did A share|shared the {items}
           {C} was {glad} because {A} <shared>. | feels C glad; why C {A} shared""",
        """{A} had {n} {items}. | count A items n
           {B} <gave> {A} {m} more {items}. | more A items m; did B give|gave {m} {items} to {A}
           They sat {place.in}. | at A place; at B place; with A B""",
        """{A} had {n} {items} {place.in}. | count A items n; at A place
           {A} <gave> {m} {items} to {B}. | fewer A items m; count B items m; did A give|gave {m} {items} to {B}
           {B} felt {glad}. | feels B glad""",
    ],
    "cleaning": [
        """The house was dirty. |
           {A} <washed> the floor and {B} <cleaned> the window. | did A wash|washed the floor; did B clean|cleaned the window
           {A} put the {thing} {spot.in}. | at thing spot; did A put|put the {thing} {spot.in}
           {C} was {glad} because the house was <clean>. | feels C glad; why C the house was clean""",
        """{A} <cleaned> the room {place.in}. | at A place; did A clean|cleaned the room
           {A} found a {colour} {thing} {spot.in}. | has A thing; colour thing colour; did A find|found the {thing}
           {B} was {glad} because {A} <cleaned> the room. | feels B glad; why B {A} cleaned the room""",
        """First {A} <washed> the {thing}. | did A wash|washed the {thing}
           Then {A} <swept> the floor. | did A sweep|swept the floor
           {B} <dropped> mud on the floor. | did B drop|dropped mud
           {A} was {upset} because {B} <dropped> mud. | feels A upset; why A {B} dropped mud""",
        """{A} <swept> the floor. | did A sweep|swept the floor
           {B} <washed> the {colour} {thing}. | colour thing colour; did B wash|washed the {thing}
           {A} was {glad} because the house was <clean>. | feels A glad; why A the house was clean""",
    ],
    "repair": [
        """{A} had a {colour} {thing}. | has A thing; colour thing colour
           {B} <broke> the {thing}. | did B break|broke the {thing}
           {A} was {upset} because {B} <broke> the {thing}. | feels A upset; why A {B} broke the {thing}
           {C} <repaired> the {thing} {place.in}. | at C place; did C repair|repaired the {thing}""",
        """The {thing} of {A} was broken. | has A thing
           {B} <repaired> the {thing}. | did B repair|repaired the {thing}
           {A} was {glad} because {B} <repaired> the {thing}. | feels A glad; why A {B} repaired the {thing}
           {A} <gave> {B} {n} {items}. | count B items n; did A give|gave {n} {items} to {B}""",
        """{A} <broke> a {colour} {thing} {place.in}. | at A place; colour thing colour; did A break|broke the {thing}
           {A} was {upset} because {A.he} <broke> the {thing}. | feels A upset; why A {he} broke the {thing}
           {B} <repaired> the {thing}. | has B thing; did B repair|repaired the {thing}""",
        """{A} <broke> the {colour} {thing} of {B}. | colour thing colour; did A break|broke the {thing}
           {B} was {upset} because {A} <broke> the {thing}. | feels B upset; why B {A} broke the {thing}
           {A} <repaired> the {thing}. | has A thing; did A repair|repaired the {thing}""",
    ],
    "sick friend": [
        """{A} was ill and stayed {place.in}. | at A place
           {B} <brought> {dish} and {C} <brought> a {colour} {thing}. | has A thing; colour thing colour; did B bring|brought {dish}; did C bring|brought the {thing}
           {A} was {glad} because {B} and {C} <came>. | feels A glad; why A {B} and {C} came""",
        """{A} was {upset} because {A.he} was <ill>. | feels A upset; why A {he} was ill
           {B} <visited> {A} {place.in}. | at A place; at B place; with A B; did B visit|visited {A}
           {B} <read> a story. | did B read|read a story""",
        """{A} was <ill>. |
           First {B} <called> the doctor. | did B call|called the doctor
           Then {B} <cooked> {dish} for {A}. | did B cook|cooked {dish}
           The doctor was {C}. | did C visit|visited {A}""",
        """{A} was ill {place.in}. | at A place
           {B} <cooked> {dish}. | did B cook|cooked {dish}
           {A} was {glad} because {B} <cooked> {dish}. | feels A glad; why A {B} cooked {dish}""",
    ],
    "treasure": [
        """{A} <found> an old map {place.in}. | at A place; did A find|found a map
           {A} and {B} <dug> a hole. | did A dig|dug a hole; with A B
           There was a {colour} {thing} and {n} coins. | colour thing colour
           {B} <took> the {thing} and was {glad}. | has B thing; feels B glad; did B take|took the {thing}""",
        """{A} looked for treasure {place.in}. | at A place
           First {A} <found> a {thing}. | did A find|found the {thing}; has A thing
           Then {A} <found> a {thing2}. | did A find|found the {thing2}; has A thing2
           The {thing} was {colour} and the {thing2} was {colour2}. | colour thing colour; colour thing2 colour2""",
        """{A} <hid> a treasure {spot.in}. | did A hide|hid the treasure
           {B} <read> the map. | did B read|read the map
           {C} <found> the treasure. | did C find|found the treasure
           {C} was {glad} because {C.he} <found> the treasure. | feels C glad; why C {he} found the treasure""",
        """{A} <read> an old map. | did A read|read the map
           {B} <found> the treasure {place.in}. | at B place; did B find|found the treasure
           {B} was {glad} because {B.he} <found> the treasure. | feels B glad; why B {he} found the treasure""",
    ],
    "kite": [
        """{A} had a {colour} kite. |
           The <wind> took the kite. | weather windy
           {A} was {upset} because the wind <took> the kite. | feels A upset; why A the wind took the kite
           {B} <found> the kite {place.in}. | at B place; did B find|found the kite""",
        """{A} <made> a kite and {B} <flew> the kite {place.in}. | at B place; did A make|made a kite; did B fly|flew the kite
           {C} <cut> the string. | did C cut|cut the string
           {B} was {upset} because {C} <cut> the string. | feels B upset; why B {C} cut the string""",
        """First {A} <made> a kite. | did A make|made a kite
           Then {A} <went> {place.to}. | at A place
           {A} <flew> the kite with {B} and was {glad}. | feels A glad; with A B; at B place; did A fly|flew the kite""",
        """{A} <flew> the kite {place.in}. | at A place; did A fly|flew the kite
           {B} <cut> the string. | did B cut|cut the string
           {A} was {upset} because {B} <cut> the string. | feels A upset; why A {B} cut the string""",
    ],
    "pet wash": [
        """{A} had {pet.a} called {pet}. | owns A pet
           {pet} <fell> into the mud. | did pet fall|fell into the mud
           {A} <washed> {pet} {place.in}. | at A place; at pet place; did A wash|washed {pet}
           {pet} was {upset} because the water was <cold>. | feels pet upset; why pet the water was cold""",
        """{A} <washed> {pet}, the {pet.kind} of {B}. | owns B pet; did A wash|washed {pet}
           {B} <brought> a {colour} {thing}. | has B thing; colour thing colour; did B bring|brought the {thing}
           {B} was {glad} because {pet} was <clean>. | feels B glad; why B {pet} was clean""",
        """{pet} is the {pet.kind} of {A}. | owns A pet
           First {A} <fed> {pet}. | did A feed|fed {pet}
           Then {B} <washed> {pet} {place.in}. | at B place; at pet place; did B wash|washed {pet}""",
        """{A} had {pet.a} called {pet}. | owns A pet
           {B} <washed> {pet} {place.in}. | at B place; at pet place; did B wash|washed {pet}
           {A} was {glad} because {pet} was <clean>. | feels A glad; why A {pet} was clean""",
    ],
    "harvest": [
        """{A} <picked> {n} {items} {place.in}. | count A items n; at A place; did A pick|picked {n} {items}
           {B} <picked> {m} {items}. | count B items m; did B pick|picked {m} {items}
           {A} was {glad} because the sun was <warm>. | feels A glad; why A the sun was warm""",
        """{A} <picked> {n} {items}. | count A items n; did A pick|picked {n} {items}
           {A} <ate> {m} {items}. | fewer A items m; did A eat|ate {m} {items}
           {B} <carried> the basket {place.to}. | at B place; did B carry|carried the basket""",
        """{A} had {n} {items}. | count A items n
           Then {A} <picked> {m} more {items}. | more A items m; did A pick|picked {m} {items}
           {B} felt {upset}. | feels B upset""",
        """{A} <picked> {n} {items}. | count A items n; did A pick|picked {n} {items}
           {B} <picked> {m} {items} {place.in}. | count B items m; at B place; did B pick|picked {m} {items}
           {B} was {glad}. | feels B glad""",
    ],
    "letter": [
        """{A} <wrote> a letter to {B}. | did A write|wrote a letter to {B}
           {C} <brought> the letter to {B} {place.in}. | at B place; did C bring|brought the letter to {B}
           {B} was {glad} because {A} <wrote> a letter. | feels B glad; why B {A} wrote a letter""",
        """{A} <got> a letter from {B}. | did A get|got a letter; did B write|wrote a letter
           In the letter was a {colour} {thing}. | has A thing; colour thing colour
           {A} was {glad} because {A.he} <got> a letter. | feels A glad; why A {he} got a letter""",
        """First {A} <wrote> a letter. | did A write|wrote a letter
           Then {A} <took> the letter {place.to}. | at A place; did A take|took the letter {place.to}
           {B} <read> the letter and felt {upset}. | feels B upset; did B read|read the letter""",
        """{A} <wrote> a letter to {B}. | did A write|wrote a letter to {B}
           {B} <read> the letter {place.in}. | at B place; did B read|read the letter
           {B} was {glad} because {A} <wrote> a letter. | feels B glad; why B {A} wrote a letter""",
    ],
}

# Sentences that can open any story, or make one by themselves. Regular tellings come first: they teach the key.
PROPS: dict[str, list[str]] = {
    "thing": [
        "{A} has a {colour} {thing}. | has A thing; colour thing colour",
        "{A} had a {colour} {thing}. | has A thing; colour thing colour",
        "{A}'s {thing} is {colour}. | has A thing; colour thing colour",
        "The {thing} of {A} is {colour}. | has A thing; colour thing colour",
        "There is a {colour} {thing}. It belongs to {A}. | has A thing; colour thing colour",
    ],
    "place": [
        "{A} is {place.in}. | at A place",
        "{A} was {place.in}. | at A place",
        "{A} went {place.to}. | at A place",
        "{A} goes {place.to}. | at A place",
    ],
    "thing place": [
        "The {thing} is {spot.in}. | at thing spot",
        "There is a {colour} {thing} {spot.in}. | at thing spot; colour thing colour",
        "{A} put the {thing} {spot.in}. | at thing spot; did A put|put the {thing} {spot.in}",
    ],
    "likes": [
        "{A} likes {food}. | likes A food",
        "{A}'s favourite food is {food}. | likes A food",
        "{A} loves {food}. | likes A food",
    ],
    "count": [
        "{A} has {n} {items}. | count A items n",
        "{A} had {n} {items}. | count A items n",
    ],
    "pet": [
        "{A} has {pet.a} called {pet}. | owns A pet",
        "{A} has {pet.a}. The {pet.kind} is called {pet}. | owns A pet",
        "{pet} is {A}'s {pet.kind}. | owns A pet",
    ],
    "feeling": [
        "{A} is {mood}. | feels A mood",
        "{A} was {mood}. | feels A mood",
    ],
    "taller": [
        "{A} is {taller} than {B}. | compare A B taller",
    ],
}

# One more thing that happens: the last fact counts.
MOVES: dict[str, list[str]] = {
    "give": [
        "{A} <gave> the {thing} to {B}. | has B thing; did A give|gave the {thing} to {B}",
        "Then {A} <gave> {B} the {thing}. | has B thing; did A give|gave the {thing} to {B}",
        "{B} <got> the {thing} from {A}. | has B thing; did A give|gave the {thing} to {B}",
        "{A} <gives> the {thing} to {B}. | has B thing",
        "{A} <gives> {B} the {thing}. | has B thing",
    ],
    "take": [
        "{B} <took> the {thing}. | has B thing; did B take|took the {thing}",
        "Then {B} <took> the {thing}. | has B thing; did B take|took the {thing}",
        "{B} <takes> the {thing}. | has B thing",
    ],
    "go": [
        "{A} went {place.to}. | at A place",
        "Then {A} went {place.to}. | at A place",
        "{A} ran {place.to}. | at A place",
        "{A} goes {place.to}. | at A place",
        "Now {A} is {place.in}. | at A place",
    ],
    "put": [
        "{A} <put> the {thing} {spot.in}. | lost thing; at thing spot; did A put|put the {thing} {spot.in}",
        "Now the {thing} is {spot.in}. | lost thing; at thing spot",
        "{A} <puts> the {thing} {spot.in}. | lost thing; at thing spot",
    ],
    "paint": ["{A} <painted> the {thing} {colour}. | colour thing colour; did A paint|painted the {thing}"],
    "more": [
        "{A} <got> {m} more {items}. | more A items m",
        "Then {A} <found> {m} more {items}. | more A items m",
    ],
    "fewer": [
        "{A} <lost> {m} {items}. | fewer A items m",
        "Then {A} <ate> {m} {items}. | fewer A items m",
    ],
}

OPENINGS = {
    "weather": ["It was a {weather} day. | weather weather", "The weather was {weather}. | weather weather"],
    "time": ["It happened {time}. | time time", "This story is from a time long ago, {time}. | time time"],
    "both": ["It was {weather} {time}. | weather weather; time time"],
}
