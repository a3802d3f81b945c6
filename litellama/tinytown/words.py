"""The words of TinyTown: who and what can stand in a story. Data only; no logic.

Names in HELD_OUT_NAMES never occur in training, so the evaluation can ask about people the model has never met.
"""

# fmt: off

BOYS = """Tom Ben Sam Max Leo Tim Jack Nick Paul Peter Oscar Hugo Felix Adam Omar Ali Karim Yusuf Ravi Arjun Kenji Hiro
Mateo Diego Carlos Pablo Luca Marco Anton Emil Jonas Lars Finn Noah Liam Owen Kofi Kwame Tariq Samir Bruno Victor Simon
Martin David Daniel Henry George Frank Otto Walter Theo Milo Ivan Pavel Chen Wei Minh Arthur Louis Pierre Jamal""".split()

GIRLS = """Anna Lily Mia Emma Sara Nora Lucy Ella Rosa Clara Amy Kate Jane Mary Alice Grace Ruth Eva Ida Lena Greta Ingrid
Freya Maya Leila Amira Fatima Zara Aisha Priya Anjali Yuki Hana Mei Lin Sofia Lucia Elena Carla Paula Marta Julia Olga
Nina Vera Tara Molly Daisy Ruby Hazel Iris Ivy Stella Bella Amara Zola Ines Chloe Marie Sophie Emily Helen Laura""".split()

HELD_OUT_BOYS = "Oliver Jakob Hassan Rafael Bjorn Dmitri Tobias Elias Nathan Gabriel".split()
HELD_OUT_GIRLS = "Matilda Yasmin Beatrix Naomi Sigrid Camila Dalia Frieda Harriet Noemi".split()

# Made-up names teach the model to copy any name letter by letter, so it can speak of people it never met.
NAME_STARTS = """Ba Be Bo Bri Ca Co Da De Do Dra El Fa Fe Fi Ga Ge Gra Ha He Ho Is Ja Je Jo Ka Ke Ki Kro La Le Lo Ma Me Mi
Mo Na Ne Ni No Or Pa Pe Pi Po Qui Ra Re Ri Ro Sa Se Sha Si So Sta Ta Te Ti To Tra Ul Va Ve Vi Wa We Wi Ya Yo Za Ze Zo""".split()
NAME_MIDDLES = "bb ck d dd f g l ll lm ln m mm mb n nn nd nt p r rr rd rk rl rn rv s ss sh st t tt v x z th".split()
NAME_ENDS = """a an ana as e el ella en er era eth i ia ian ie in ina is ita ix o on or ora os u us y ya yn""".split()

# A freer way to make names up, sound by sound, which breaks into pieces as rare as those of a name never seen.
ONSETS = """b bj bl br c ch cl d dj dm dr f fl fr g gh gl gn gr h j k kh kl kn kr l m mb n nd ng p ph pl pr qu r s sc sh
sk sl sm sn sp st sv t th tr ts v vl w wh x y z zh""".split()
VOWELS = "a a a e e e i i i o o u y aa ai au ea ee ei ia ie io oa oe oo ou ua ue".split()
CODAS = "b ck d g l ld lf m n nd ng nn ns nt p r rd rg rk rn rt s sh ss st t th tt v x z".split()

PET_NAMES = """Rex Fluffy Spot Coco Bingo Lucky Rusty Pepper Shadow Biscuit Patch Snowy Ginger Buddy Tiger Honey Muffin
Whiskers Pickle Bubbles Sunny Cookie Dusty Nibbles Pudding Sparky Tilly Ziggy Mittens Waffles""".split()

PETS = """dog cat rabbit horse goat duck hen pony donkey mouse parrot turtle hamster lamb piglet llama fish frog pigeon
goose calf hedgehog puppy kitten""".split()

ANIMALS = PETS + """cow pig sheep fox bear wolf lion owl bee ant snake whale seal deer monkey elephant
giraffe zebra camel crow eagle swan squirrel beaver badger otter bat spider snail crab penguin butterfly""".split()

THINGS = """ball hat book cup doll key kite lamp drum flute coat scarf boot bag box basket bell boat bottle bowl brush
bucket button candle card chair clock coin comb crown cushion desk dress fan feather flag fork glove guitar hammer
helmet jar jacket jug kettle ladder letter map mask medal mirror mitten mug needle net notebook pan parcel pen pencil
picture pillow pin plate pot purse puzzle radio ribbon ring robot rope ruler sack saddle sail saw shell shirt shoe shovel
sled sock spoon stamp stick stone stool suitcase sweater sword table teapot tent ticket torch towel toy train tray
truck trumpet umbrella vase violin wagon wallet watch wheel whistle bicycle blanket bracelet camera carpet compass
envelope hook lantern magnet marble necklace paddle plank rake raincoat rocket sandal scooter skateboard telescope
tambourine thermos toothbrush top tractor wand xylophone yo-yo zip apple banana sandwich phone car bike computer flower egg
sweet pebble""".split()

# These stand in tellings by name, in every colour.
FIXTURES = "boat flower kite tent".split()

COLOURS = """red blue green yellow white black brown pink purple orange grey golden silver""".split()

ITEMS = """apples pears plums eggs coins shells stones nuts flowers stamps marbles cookies carrots buttons stickers
cherries leaves feathers pencils candles berries books balloons lemons oranges beads cards acorns""".split()

FOODS = """soup bread cheese cake rice pasta pizza honey jam butter pancakes porridge salad noodles corn beans peas
potatoes tomatoes bananas grapes melon strawberries cookies chocolate yoghurt pie toast muffins mushrooms onions
pumpkin spinach stew waffles ice-cream raisins peaches dumplings popcorn""".split()

DISHES = """soup bread cake pie pizza stew salad pancakes porridge pudding pasta curry toast dumplings muffins""".split()

PLACES = {
    "in": """garden kitchen forest house barn school library shop bedroom attic cellar field meadow village town museum
castle cave tower bakery tent stable hall classroom workshop theatre hospital office cabin greenhouse zoo orchard
hotel palace market church""".split(),
    "at": """park beach lake river station farm bus-stop fountain bridge harbour pool mill playground crossroads
post-office lighthouse gate bank well""".split(),
    "on": "hill roof island stage balcony mountain boat bus porch square".split(),
}

SPOTS = {
    "under": "bed table chair bridge tree carpet pillow stairs bench blanket sofa desk".split(),
    "behind": "door curtain sofa clock wall shed fence mirror bush cupboard oven".split(),
    "in": "box drawer basket cupboard bag jar pot chest bucket tree-house pocket suitcase fridge".split(),
    "on": "shelf table roof chair windowsill desk bed step wall".split(),
    "beside": "pond stove window gate fireplace well hedge piano lamp".split(),
}

WEATHERS = "sunny rainy windy snowy foggy stormy cloudy cold hot warm icy".split()

TIMES = {
    "in the": "morning afternoon evening".split(),
    "at": "noon night midnight dawn".split(),
    "on": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
    "in": "spring summer autumn winter January March April May June July August October December".split(),
}

GLAD = "happy glad proud excited cheerful pleased joyful thankful relieved calm".split()
UPSET = "sad angry worried upset scared lonely unhappy cross ashamed nervous tired".split()

NUMBERS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen twenty""".split()

COMPARATIVES = {"taller": "tall", "older": "old", "faster": "fast", "stronger": "strong", "younger": "young"}
