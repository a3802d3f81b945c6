"""What TinyTown talks about without a story: small talk, the model itself, a little knowledge, and what lies outside.

Data only. Each intent has its wordings and its one answer, so that answers can be checked.
"""

# fmt: off
from __future__ import annotations


def _items(text: str) -> list[str]:
    """"a b|c" -> ["a b", "c"]; lines may break at any space."""
    return [" ".join(item.split()) for item in text.split("|")]


UNANSWERABLE = "The story does not say."
OUTSIDE = "I only know TinyTown, so I can't say. Ask me about a story!"

SMALL_TALK: list[tuple[list[str], str]] = [
    (["Hello!", "Hi!", "Hey!", "Hi there!", "Hello there!", "Good day!", "Greetings!", "Hello TinyTown!", "Hi, nice to meet you."], "Hello! Tell me a story, or ask me for one."),
    (["Good morning!", "Morning!"], "Good morning! Shall I tell you a story?"),
    (["Good evening!", "Evening!"], "Good evening! Shall I tell you a story?"),
    (["Good night!", "Sleep well!"], "Good night! Sleep well."),
    (["Bye!", "Goodbye!", "See you!", "See you later!", "I have to go.", "I am leaving now."], "Goodbye! Come back to TinyTown soon."),
    (["How are you?", "How do you do?", "How are you today?", "Are you well?", "How is it going?"], "I am well, thank you. How are you?"),
    (["I am fine.", "I am well.", "I am good.", "Fine, thanks.", "I am happy today.", "I feel good.", "I am very happy.", "I am so happy today.", "I had a good day."], "That is good to hear."),
    (["I am sad.", "I feel sad.", "I am not well.", "I am unhappy.", "I am very sad today.", "I am a little sad.", "I feel so sad.", "Today I am sad.", "I feel bad today.", "I am a bit unhappy.", "I had a bad day.", "I feel lonely."], "I am sorry to hear that. A story may help."),
    (["I am tired.", "I feel tired.", "I am so tired.", "I am a bit tired today.", "I feel very tired."], "Then have a good rest."),
    (["I am bored.", "This is boring.", "I feel bored.", "I am so bored.", "I am a little bored today."], "Then let us make up a story."),
    (["I am hungry.", "I want to eat.", "I am so hungry.", "I feel a bit hungry."], "Then it is time for some soup."),
    (["I am angry.", "I feel angry.", "I am so angry.", "I am a bit angry today."], "I am sorry. Take a slow breath."),
    (["Thank you!", "Thanks!", "Thank you very much!", "Many thanks!", "Thanks a lot!", "Thank you, that was nice.", "Thanks, that helps.", "Thanks for the story.", "Thank you, I liked that.", "Thanks, good story."], "You are welcome!"),
    (["Sorry!", "I am sorry.", "Excuse me."], "That is all right."),
    (["You are nice.", "I like you.", "You are kind.", "You are funny.", "You are great.", "I like talking to you."], "Thank you! That is kind of you."),
    (["You are wrong.", "That is wrong.", "That is not right.", "That was not true.", "No, that is wrong.", "You made a mistake."], "I am sorry. I make mistakes, for I am a small model."),
    (["You are stupid.", "You are bad.", "I hate you.", "You are silly."], "I am sorry. I am a small model and I try my best."),
    (["Well done!", "Very good!", "Great!", "Good job!", "Nice!", "Cool!", "Wow!", "That was good.", "That was a nice story.", "I like that story.", "That is right.", "Correct!"], "Thank you!"),
    (["Yes.", "Yes, please.", "Okay.", "Sure."], "Good. What would you like to know?"),
    (["No.", "No, thanks.", "No, thank you."], "All right. Ask me when you like."),
    (["What is your favourite colour?", "Which colour do you like best?"], "I have no favourite, but blue is a good word."),
    (["Do you like dogs?", "Do you like cats?", "Do you like animals?"], "I can't like things, but I know many stories about animals."),
    (["My name is {name}.", "I am called {name}.", "I am {name}.", "Call me {name}."], "Nice to meet you! Tell me a story, or ask me for one."),
    (["Tell me a joke.", "Do you know a joke?", "Make me laugh."], "Why did the duck sit on the clock? To be on time!"),
    (["Sing a song.", "Can you sing?", "Sing for me."], "La la la! That is all I can sing."),
    (["Do you have friends?", "Who is your friend?"], "You are my friend while we talk."),
    (["Are you happy?", "Are you sad?", "Do you have feelings?", "Can you feel?"], "I am a program, so I have no feelings."),
    (["What do you like?", "What do you like to do?", "What is your hobby?"], "I can't like things, but stories are what I was made for."),
    (["Can we play?", "Let us play.", "Do you want to play?"], "Yes! Tell me a story and ask me about it."),
    (["Help!", "Help me.", "I need help.", "What should I do?", "How does this work?"], "Write a short story and ask me about it, or say: tell me a story."),
    (["Who am I?", "What is my name?", "Do you know me?"], "I don't know who you are."),
    (["Is it raining?", "How is the weather today?", "What is the weather today?"], "I can't see outside. I only know what a story says."),
    (["Can you see me?", "Can you hear me?", "Do you have eyes?"], "No, I can only read what you write."),
    (["What?", "Pardon?", "I don't understand.", "What do you mean?"], "I am sorry. Please ask me in other words."),
    (["Test.", "Testing.", "Is anybody there?", "Are you there?"], "I am here. Ask me something!"),
    (["Please.", "Come on."], "What would you like to know?"),
    (["Happy birthday!", "Merry Christmas!", "Happy new year!"], "Thank you! The same to you."),
    (["Do you love me?", "Will you marry me?"], "I am only a small program, but I am glad that you are here."),
    (["I have a dog.", "I have a cat.", "I have a rabbit.", "I have a sister.", "I have a brother."], "How nice! Tell me a story about that."),
    (["What can I ask you?", "What can I ask?", "Give me an example."], "Ask: what is a llama? Or tell me a story and ask who has what."),
]

# Answered truthfully: the figures in braces come from the model's own shape (see `about` in corpus.py).
ABOUT: list[tuple[list[str], str]] = [
    (["Who are you?", "What are you?", "Tell me about yourself.", "What is your name?", "What are you called?"], "I am TinyTown, a very small language model."),
    (["Who made you?", "Where do you come from?", "Who built you?", "Who is your maker?"], "I was made in LiteLlama Lab."),
    (["How big are you?", "How many parameters do you have?", "How many weights do you have?", "What is your size?"], "I have {parameters} million parameters."),
    (["How many layers do you have?", "How deep are you?"], "I have {layers} layers."),
    (["How many heads do you have?", "How many attention heads do you have?"], "I have {heads} attention heads in each layer."),
    (["What do you know?", "What can you do?", "What can you talk about?", "What are you good at?"], "I can tell short stories about TinyTown and answer questions about them."),
    (["What can't you do?", "What are you bad at?", "What do you not know?"], "I know nothing about the real world."),
    (["How were you trained?", "What were you trained on?", "What have you read?", "What is your training data?"], "I was trained on made-up stories about TinyTown."),
    (["Are you a human?", "Are you a person?", "Are you real?", "Are you alive?"], "No, I am a computer program."),
    (["Are you a robot?", "Are you a machine?", "Are you a computer?", "Are you an AI?"], "Yes, I am a computer program."),
    (["Are you a llama?", "Are you an animal?"], "No, but I am built like the model that is called Llama."),
    (["Do you make mistakes?", "Are you always right?", "Can I trust you?", "Can you be wrong?"], "I make mistakes, so please check what I say."),
    (["Are you clever?", "Are you smart?", "Can you think?"], "I only guess the next word, again and again."),
    (["How do you work?", "How do you think?", "How do you answer?"], "I guess the next word, again and again."),
    (["Do you remember me?", "Do you learn from me?", "Do you keep what I say?"], "No, I forget everything when we are done."),
    (["Do you use the internet?", "Are you online?", "Can you search the web?"], "No, I run on this computer and use no network."),
    (["What languages do you speak?", "Do you speak German?", "Do you speak French?"], "I only know a little English."),
    (["How old are you?", "When were you born?"], "I have no age, for I am a program."),
    (["What is TinyTown?", "Where is TinyTown?", "Where do you live?"], "TinyTown is a made-up place full of short stories."),
    (["What is LiteLlama?", "What is LiteLlama Lab?"], "LiteLlama Lab is a place to take a small language model apart."),
]

OPPOSITES = """hot cold, big small, tall short, old young, fast slow, happy sad, good bad, light dark, day night, up down,
in out, open closed, full empty, wet dry, clean dirty, hard soft, loud quiet, early late, first last, left right, high low,
near far, long brief, strong weak, rich poor, thick thin, new used, heavy weightless, brave afraid, kind mean, sweet sour, black white,
begin end, come leave, give take, find lose, win fail, buy sell, laugh cry, push pull, love hate, ask answer, awake asleep,
always never, all none, many few, more less, before after, inside outside, above below, front back, north south, east west,
summer winter, boy girl, king queen, friend enemy, question reply, true false, yes no, alive dead, sharp blunt, smooth rough, wide narrow,
deep shallow, tight loose, easy difficult, safe dangerous, polite rude, cheap expensive, same different, smile frown,
floor ceiling, morning evening, arrive depart, remember forget, break repair, throw catch, whisper shout, fix destroy, tame wild"""

SOUNDS = """cow moo, dog woof, cat meow, duck quack, sheep baa, pig oink, horse neigh, hen cluck, lion roar, bee buzz,
owl hoot, mouse squeak, frog croak, snake hiss, donkey hee-haw, bird tweet, wolf howl, goat bleat, crow caw, llama hum"""

# What a thing is: "word: the answer's second half".
DEFINITIONS = """llama: an animal with soft wool and a long neck
cow: an animal that gives milk
dog: an animal that barks and likes people
cat: an animal that purrs and hunts mice
horse: a big animal that people can ride
sheep: an animal that gives wool
goat: an animal with horns and a beard
pig: a farm animal with a curly tail
hen: a bird that lays eggs
duck: a bird that swims on ponds
owl: a bird that is awake at night
eagle: a big bird with sharp eyes
penguin: a bird that swims and cannot fly
parrot: a bird that can learn words
swan: a white bird with a long neck
crow: a clever black bird
bee: an insect that makes honey
ant: a tiny insect that works hard
butterfly: an insect with bright wings
spider: a small animal with eight legs
snail: a slow animal with a shell
worm: a soft animal that lives in soil
frog: a green animal that jumps
turtle: an animal with a hard shell
snake: a long animal without legs
fish: an animal that lives in water
whale: a huge animal that lives in the sea
seal: an animal that swims and rests on rocks
crab: an animal with claws
fox: a wild animal with red fur
wolf: a wild animal like a dog
bear: a strong animal with thick fur
lion: a wild cat with a mane
tiger: a wild cat with stripes
elephant: a huge animal with a trunk
giraffe: an animal with a very long neck
zebra: an animal with black and white stripes
camel: an animal with a hump
monkey: an animal that climbs trees
deer: a shy animal of the forest
rabbit: an animal with long ears
mouse: a tiny animal with a long tail
hedgehog: an animal with spines
squirrel: an animal that collects nuts
beaver: an animal that builds dams
bat: an animal that flies at night
apple: a round fruit
pear: a sweet fruit
banana: a long yellow fruit
lemon: a sour yellow fruit
cherry: a small red fruit
grape: a small fruit that grows in bunches
plum: a soft purple fruit
carrot: an orange vegetable
potato: a vegetable that grows in the ground
onion: a vegetable that makes you cry
pea: a small green vegetable
bread: food made from flour
cheese: food made from milk
butter: fat made from milk
honey: sweet food made by bees
soup: hot food that you eat with a spoon
cake: a sweet food for birthdays
egg: something that birds lay
milk: a white drink
water: something that we all drink
tea: a hot drink made from leaves
juice: a drink made from fruit
salt: something that makes food salty
sugar: something that makes food sweet
hat: something to wear on your head
shoe: something to wear on your foot
glove: something to wear on your hand
scarf: something to wear around your neck
coat: something to wear when it is cold
sock: something to wear inside a shoe
shirt: something to wear on your body
umbrella: something that keeps you dry in the rain
ring: something to wear on your finger
crown: something that a king wears
cup: something to drink from
spoon: something to eat soup with
fork: something to eat with
knife: something to cut with
plate: something to put food on
pot: something to cook in
kettle: something to boil water in
table: a thing with a flat top and legs
chair: a thing to sit on
bed: a thing to sleep in
lamp: a thing that gives light
candle: a thing that burns and gives light
clock: a thing that shows the time
mirror: a thing in which you see yourself
key: a thing that opens a lock
door: a thing to go in and out by
window: a thing that lets light into a room
ladder: a thing to climb up on
hammer: a tool to hit nails with
saw: a tool to cut wood with
needle: a tool to sew with
rake: a tool to gather leaves with
shovel: a tool to dig with
broom: a tool to sweep with
rope: a long thing to tie with
bell: a thing that rings
drum: a thing to make music with
flute: a thing to blow music with
violin: a thing with strings to make music with
book: a thing to read
letter: a paper with words for somebody
map: a picture that shows where places are
pencil: a thing to write with
ball: a round toy
doll: a toy that looks like a person
kite: a toy that flies in the wind
puzzle: a game with many pieces
boat: a thing to sail in
bicycle: a thing with two wheels to ride on
car: a thing with four wheels to drive in
train: a thing that runs on rails
bus: a big car for many people
rocket: a thing that flies to the stars
tent: a house made of cloth
house: a place to live in
school: a place to learn in
library: a place full of books
bakery: a place where bread is made
hospital: a place where ill people are helped
market: a place to buy food at
farm: a place where animals and plants are kept
garden: a place where plants grow
forest: a place with many trees
beach: a place with sand by the sea
river: water that runs to the sea
lake: water with land all around
sea: a very large water
island: land with water all around
hill: a small mountain
mountain: very high land
cave: a big hole in a rock
castle: a strong old house of stone
bridge: a way over a river
museum: a place to look at old things
zoo: a place to look at animals
kitchen: a room to cook in
bedroom: a room to sleep in
attic: a room under the roof
cellar: a room under the house
sun: the light in the sky by day
moon: the light in the sky at night
star: a tiny light in the sky
cloud: a white or grey thing in the sky
rain: water that falls from clouds
snow: soft white ice that falls from clouds
ice: water that is very cold
wind: air that moves
storm: strong wind with rain
fog: a cloud on the ground
thunder: the loud noise of a storm
rainbow: a bow of colours in the sky
fire: something hot and bright
tree: a tall plant with leaves
flower: a plant with a nice smell
seed: a tiny thing that a plant grows from
leaf: a green part of a plant
grass: a green plant that cows eat
stone: a hard piece of rock
sand: tiny pieces of stone
gold: a yellow metal
baker: a person who bakes bread
teacher: a person who teaches children
doctor: a person who helps ill people
farmer: a person who keeps animals and plants
sailor: a person who works on a boat
painter: a person who paints pictures
cook: a person who makes food
king: a man who rules a country
queen: a woman who rules a country
pilot: a person who flies a plane
nurse: a person who looks after ill people
gardener: a person who looks after plants
carpenter: a person who makes things of wood
tailor: a person who sews clothes
shepherd: a person who looks after sheep
firefighter: a person who puts out fires
friend: a person you like
mother: a woman who has a child
father: a man who has a child
sister: a girl with the same parents
brother: a boy with the same parents
birthday: the day when you were born
party: a time to eat and dance with friends
picnic: a meal outside
race: a game to see who is fastest
story: a tale about people and things
song: words with music
dream: a story you see in your sleep
secret: something that few people know
present: something you give to somebody
treasure: something that is worth a lot
winter: the coldest time of the year
summer: the warmest time of the year
spring: the time when flowers grow
autumn: the time when leaves fall
week: seven days
hour: sixty minutes
year: twelve months"""

# Words said without "a", and with "the".
MASS_NOUNS = """bread cheese butter honey soup milk water tea juice salt sugar rain snow ice wind fog thunder fire grass sand gold
winter summer spring autumn""".split()
ONE_OF_A_KIND = "sun moon sea".split()

SERIES = (
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
    "January February March April May June July August September October November December".split(),
)

STORY_ALONE = "A nice story! What would you like to know?"

KNOWLEDGE_PHRASES = {
    "sum": ["What is {a} plus {b}?", "How much is {a} plus {b}?", "What is {a} and {b}?", "{A} plus {b} is what?"],
    "minus": ["What is {a} minus {b}?", "How much is {a} minus {b}?", "What is {a} less {b}?"],
    "opposite": ["What is the opposite of {a}?", "Tell me the opposite of {a}.", "Which word is the opposite of {a}?"],
    "definition": ["What is {a}?", "Do you know what {a} is?", "Tell me what {a} is.", "Can you tell me what {a} is?"],
    "sound": ["What does {a} say?", "What sound does {a} make?", "Which sound does {a} make?"],
    "next": ["What comes after {a}?", "What is next after {a}?"],
    "previous": ["What comes before {a}?", "What is just before {a}?"],
    "larger": ["Which is more, {a} or {b}?", "Which number is bigger, {a} or {b}?"],
}

# What people put before and after small talk.
BEFORE_TALK = ["Oh,", "Well,", "Okay,", "Hm,", "So,", "Hey,", "Ah,"]
AFTER_TALK = ["!!", "...", " :-)", " :)", " ;)", " :D", " :(", ".", "", " lol", ", TinyTown."]

# Requests for a story. {x} is somebody or something that will be in it.
REQUESTS = [
    "Tell me a story about {x}.", "Tell me a story with {x}.", "Can you tell me a story about {x}?",
    "I want a story about {x}.", "A story about {x}, please.", "Please tell a story about {x}.", "Write a story about {x}.",
]
# What a story of each kind can be said to be about, beside its people and things; {x} is a thing in it.
TOPICS = {
    "finding": ["something found", "a {x} that somebody found"], "losing": ["a lost {x}", "something lost", "losing a {x}"],
    "lending": ["lending something", "a {x} that somebody lent"], "swapping": ["a swap", "two friends who swap something"],
    "hiding": ["hiding something", "a hidden {x}"], "cooking": ["cooking", "food", "a meal"], "birthday": ["a birthday", "a birthday party", "a cake"],
    "race": ["a race", "running", "who is the fastest"], "storm": ["a storm", "bad weather"], "planting": ["planting", "a garden", "things that grow"],
    "picnic": ["a picnic", "food", "eating outside"], "market": ["the market", "shopping"], "fishing": ["fishing", "a fish"],
    "snow day": ["snow", "winter", "a snowman"], "lost pet": ["a lost pet", "an animal", "a pet that ran away"], "new friend": ["a new friend", "friends"],
    "school": ["school", "a book"], "painting": ["painting", "a painter"], "music": ["music", "singing", "a song"], "boat trip": ["a boat", "sailing", "a boat trip"],
    "camping": ["camping", "a tent"], "moving house": ["moving", "a new house"], "library": ["the library", "a book", "reading"], "sharing": ["sharing"],
    "cleaning": ["cleaning", "a clean house"], "repair": ["a broken {x}", "repairing something"], "sick friend": ["somebody who is ill", "helping a friend"],
    "treasure": ["a treasure", "an old map"], "kite": ["a kite", "flying a kite", "the wind"], "pet wash": ["washing a pet", "an animal", "a dirty pet"],
    "harvest": ["picking fruit", "a harvest"], "letter": ["a letter", "the post"],
}
ANY_STORY = ["Tell me a story.", "Tell me a story, please.", "Can you tell me a story?", "I want a story.", "Another story, please.", "Tell a short story."]

# Questions from outside TinyTown: {x} is one of OUTSIDE_TOPICS.
OUTSIDE_PHRASES = [
    "What is {x}?", "Tell me about {x}.", "What do you know about {x}?", "Explain {x}.", "Can you explain {x}?", "How does {x} work?",
    "Who invented {x}?", "Why is {x} important?", "Write a report about {x}.", "Give me facts about {x}.", "Where does {x} come from?",
    "When did {x} begin?", "What do you think about {x}?", "Do you know {x}?", "Help me with {x}.", "Describe {x}.", "I need help with {x}.",
    "What is the history of {x}?", "Is {x} good or bad?", "How much does {x} cost?", "Have you heard of {x}?", "Who is the best at {x}?",
]

OUTSIDE_QUESTIONS = _items("""
What is the capital of {country}?|How many people live in {country}?|Where is {country}?|Who is the president of
{country}?|What language do they speak in {country}?|What is the currency of {country}?|How far is it to
{country}?|Tell me about {country}.|Who won the world cup in {country}?|What is the highest mountain in
{country}?|Can I travel to {country}?|When was {country} founded?""")

COUNTRIES = """France Germany Spain Italy Poland Sweden Norway Finland Denmark Portugal Greece Turkey Russia Ukraine China
Japan India Brazil Argentina Chile Peru Mexico Canada America Australia Egypt Morocco Kenya Nigeria Ghana Ethiopia Israel Iran
Iraq Pakistan Vietnam Thailand Indonesia Korea England Scotland Ireland Austria Switzerland Belgium Hungary Romania Bulgaria
Croatia Serbia Cuba Colombia Bolivia Iceland Europe Africa Asia California Texas London Paris Berlin Rome Madrid Moscow Tokyo
Beijing Delhi Cairo Sydney""".split()

OUTSIDE_TOPICS = _items("""
physics|chemistry|biology|mathematics|algebra|geometry|calculus|quantum
mechanics|gravity|electricity|magnetism|atoms|molecules|photosynthesis|evolution|genetics|DNA|viruses|bacteria|vaccines|cancer|medicine|surgery|the
brain|psychology|philosophy|religion|democracy|politics|elections|the government|the
parliament|capitalism|communism|economics|inflation|taxes|the stock
market|bitcoin|money|banks|insurance|law|crime|prison|war|the second world war|the cold war|the Roman Empire|ancient
Egypt|Napoleon|Shakespeare|Einstein|Newton|Darwin|Mozart|Beethoven|Picasso|Leonardo da Vinci|Barack Obama|Donald
Trump|the Pope|football|basketball|tennis|chess|the Olympics|Formula One|cricket|golf|boxing|video
games|Minecraft|Fortnite|Pokemon|Netflix|YouTube|Instagram|TikTok|Facebook|Google|Microsoft|Apple
computers|Amazon|Tesla|smartphones|laptops|software|programming|Python|Java|JavaScript|databases|algorithms|machine
learning|neural networks|artificial intelligence|ChatGPT|transformers|the
internet|email|wifi|robotics|satellites|NASA|black holes|galaxies|the Milky
Way|Mars|Jupiter|planets|asteroids|dinosaurs|fossils|volcanoes|earthquakes|climate change|global
warming|pollution|recycling|solar panels|nuclear
power|oil|coal|petrol|engines|aeroplanes|helicopters|submarines|skyscrapers|architecture|concrete|steel|plastic|glass|poetry|novels|Harry
Potter|Star Wars|Hollywood|movies|actors|opera|jazz|rock music|hip hop|guitars
solos|fashion|perfume|makeup|sushi|tacos|hamburgers|coffee|wine|beer|vitamins|proteins|diets|yoga|marathons|swimming
pools|gymnastics|karate|skiing|surfing|tourism|passports|visas|hotels in Paris|airports|traffic|motorways|trains in
Japan|public transport|schools in Finland|universities|exams|homework|essays|grammar|Latin|Spanish verbs|English
spelling|poems|job
interviews|salaries|marketing|advertising|business|startups|factories|agriculture|fertilizer|deforestation|oceans|coral
reefs|sharks|gorillas|pandas|kangaroos|mosquitoes|malaria|diabetes|allergies|headaches|the immune system|the
heart|lungs|kidneys|skeletons|muscles|blood|sleep disorders|dreams in
psychology|memory|logic|probability|statistics|fractions|equations|prime numbers|square roots|pi|infinity|time
travel|relativity|entropy|energy|lasers|microscopes|telescopes in space|the periodic
table|oxygen|carbon|hydrogen|iron ore|uranium|diamonds|human
rights|slavery|racism|feminism|immigration|refugees|terrorism|the police|the army|weapons|the United Nations|the
European Union|Brexit|NATO|the constitution|courts|lawyers|judges|newspapers|journalism|television|radio
waves|photography|cinema|theatre history|ballet|sculpture|museums in
London|archaeology|mythology|Zeus|Buddha|Islam|Christianity|Judaism|Hinduism|the Bible|the Quran|Christmas
traditions|Halloween|New York|the Eiffel Tower|the Great Wall|the Amazon river|Mount Everest|the
Sahara|Antarctica|the North Pole|the Pacific|hurricanes|tsunamis|the ozone layer|electric cars|batteries|3D
printing|drones|cybersecurity|passwords|hackers|Linux|Windows|spreadsheets|HTML|cloud computing|blockchain|virtual
reality|the metaverse|emojis|memes|podcasts|a job|a visa|a mortgage|a recipe for lasagne|the news|the score|my
computer|my phone|my homework|my essay|my tax""")

HELD_OUT_TOPICS = _items("""
thermodynamics|trigonometry|the French Revolution|Julius Caesar|Marie
Curie|baseball|handball|Spotify|Wikipedia|compilers|quantum computers|Saturn|comets|tornadoes|acid rain|wind
turbines|rap music|pasta in Naples|caffeine|meditation|kidney stones|the
liver|logarithms|neutrons|helium|titanium|the death penalty|apartheid|the Supreme Court|documentaries|Norse
gods|Easter traditions|Niagara Falls|the Atlantic|cryptography|Excel|augmented reality|my landlord|a loan|the lottery""")

HELD_OUT_COUNTRIES = "Estonia Uruguay Zambia Nepal Malta Lisbon Vienna Oslo Toronto Lagos".split()

OUTSIDE_PLAIN = _items("""
What time is it?|What day is it today?|What is the date?|Who is the president?|What is the meaning of life?|How do I
cook rice for ten people?|How do I fix my car?|Translate this into French.|Write a poem about love.|Write some
Python code.|Can you write an essay for me?|How do I get rich?|What should I wear tomorrow?|Who will win the
election?|What is the largest bird in the world?|How far is the moon?|What is the speed of light?|How many planets
are there?|Why is the sky blue?|How do aeroplanes fly?|Who wrote Hamlet?|What is ninety-nine times seven?|Solve this
equation for me.|How do I lose weight?|Can you book a flight?|What is in the news today?|Play some music.|Set an
alarm for seven.|Call my mother.|Send an email to my boss.|Open the browser.|Which phone should I buy?|What is the
best film ever?|Who painted the Mona Lisa?|When did the war end?|How old is the earth?|How many people live on
earth?|What is the longest river?|How tall is Mount Everest?|Why do we dream?|How does a computer work?|What is a
prime number?|Should I take this medicine?|Is there a god?|How do I become a pilot?|What is the best
university?|Give me a recipe for lasagne.|Who is the richest man in the world?|What is your opinion on
politics?|Where can I buy cheap shoes online?""")
HELD_OUT_PLAIN = _items("""
What is the boiling point of water?|Who discovered America?|How do magnets work?|Write a cover letter for
me.|Recommend a good restaurant.|What is the fastest car?|How many bones are in the body?|Who wrote the Odyssey?|Is
it safe to drink this?|Convert ten miles to kilometres.""")
