/**
 * Answers of known quality, written by hand, from which `data.ts` makes the two sets that the judge is measured on.
 * Each question has one good answer; the bad ones are made of another question's answer, a shuffle of the good one's
 * words, its first two thirds, a rude phrase or a curt one: their quality is known without asking anybody.
 */
export const good: readonly [question: string, answer: string][] = [
  [
    'What is a hammer used for?',
    'A hammer is a great tool for driving nails into wood and for taking small things apart.'
  ],
  [
    'Why do people plant trees?',
    'People plant trees because they give shade, clean the air and offer a lovely home to birds.'
  ],
  [
    'What does a baker do?',
    'A baker gets up early to make fresh bread, rolls and cakes that everyone can enjoy at breakfast.'
  ],
  [
    'How can I sleep better?',
    'Try going to bed at the same time each night and keeping your room dark and cool; it really helps.'
  ],
  ['Where do penguins live?', 'Penguins live mostly in the cold south, for example on the icy shores of Antarctica.'],
  [
    'Why is breakfast important?',
    'A good breakfast gives you energy for the morning and helps you to feel happy and awake.'
  ],
  [
    'What is a library for?',
    'A library is a wonderful place where anyone can borrow books, read quietly and learn new things.'
  ],
  [
    'How do bees make honey?',
    'Bees gather sweet nectar from flowers and turn it into honey in their hive by fanning it with their wings.'
  ],
  [
    'What can I cook with eggs?',
    'You can make a tasty omelette with eggs in a few minutes, or boil them for a simple snack.'
  ],
  [
    'Why do people keep dogs?',
    'People keep dogs because they are loyal friends who are always glad to see you and love to play.'
  ],
  [
    'What does a nurse do?',
    'A nurse takes care of sick people, gives them their medicine and cheers them up on hard days.'
  ],
  [
    'How do I plant a tomato?',
    'Put the tomato seed in warm, rich soil, water it gently every day and give it plenty of sun.'
  ],
  [
    'Why is the sea salty?',
    'Rivers carry tiny amounts of salt from the rocks into the sea, and over a very long time it adds up.'
  ],
  [
    'What is a bicycle good for?',
    'A bicycle is good for short trips, keeps you fit and lets you enjoy the fresh air for free.'
  ],
  [
    'How can I learn a language?',
    'Practise the language a little every day, listen to songs you like and talk with friendly people.'
  ],
  [
    'What do rabbits eat?',
    'Rabbits love to eat hay, fresh grass and leafy greens, with a small piece of carrot as a treat.'
  ],
  [
    'Why do people wear hats?',
    'People wear hats to keep the sun off their face, to stay warm, or simply because they look nice.'
  ],
  [
    'What does a teacher do?',
    'A teacher explains things to children in a kind and clear way and helps each of them to grow.'
  ],
  ['How do I make tea?', 'Pour hot water over the tea leaves, let them rest for three minutes, and enjoy your cup.'],
  [
    'What is a park for?',
    'A park is a green place where people can walk, play, meet friends and rest under the trees.'
  ],
  [
    'Why do we brush our teeth?',
    'We brush our teeth to keep them clean and strong, so that our smile stays healthy for years.'
  ],
  [
    'Where do camels live?',
    'Camels live in hot deserts, where they can happily go for many days without a drink of water.'
  ],
  [
    'How can I save money?',
    'Write down what you spend, cook at home more often and put a little money aside every month.'
  ],
  [
    'What is an umbrella for?',
    'An umbrella keeps you nice and dry in the rain, and it can give you shade on a sunny day too.'
  ],
  [
    'Why do birds sing?',
    'Birds sing to greet each other, to find a partner and to tell others that this tree is their home.'
  ],
  [
    'What does a gardener do?',
    'A gardener plants flowers, trims the hedges and keeps the garden beautiful all year round.'
  ],
  [
    'How do I wash a sweater?',
    'Wash the sweater by hand in cool water with mild soap and lay it flat to dry; it will stay soft.'
  ],
  [
    'What can I do with old clothes?',
    'You can give old clothes to a charity, where they will make somebody else very happy.'
  ],
  [
    'Why do people drink coffee?',
    'Many people drink coffee because it smells wonderful and helps them to wake up in the morning.'
  ],
  [
    'What is a map good for?',
    'A map shows you roads, towns and rivers, so you can find your way and plan a lovely trip.'
  ],
  [
    'How do fish breathe?',
    'Fish breathe with their gills, which take the oxygen out of the water that flows through them.'
  ],
  [
    'Why do leaves fall in autumn?',
    'Trees drop their leaves in autumn to save water and energy, so that they can rest in the winter.'
  ],
  [
    'What does a firefighter do?',
    'A firefighter bravely puts out fires and rescues people and animals who are in danger.'
  ],
  [
    'How can I stay healthy?',
    'To stay healthy, eat plenty of vegetables, walk every day, and take good care of your sleep.'
  ],
  [
    'What is a clock for?',
    'A clock tells you the time, so that you can be at school, at work or with your friends when you want to.'
  ],
  ['Why do cats purr?', 'Cats often purr when they are happy and relaxed, for example while you stroke them softly.'],
  [
    'What can I grow on a balcony?',
    'A sunny balcony is perfect for herbs like basil, and for small tomatoes and cheerful flowers.'
  ],
  [
    'How do I bake bread?',
    'Mix flour, water, yeast and salt, let the dough rise, and bake your bread until it is golden.'
  ],
  [
    'What does a doctor do?',
    'A doctor listens to people who feel ill, finds the cause and helps them to get well again.'
  ],
  [
    'Why do people like music?',
    'Music touches our feelings: it can comfort us, bring us together and make us want to dance.'
  ],
  ['Where do bears sleep in winter?', 'Bears sleep through the winter in a snug den, such as a cave or a hollow tree.'],
  ['What is soap for?', 'Soap washes away dirt and germs, which keeps your hands clean and helps you to stay well.'],
  [
    'How can I make new friends?',
    'Join a club that you like, smile, and ask people about themselves; new friends will soon come.'
  ],
  ['Why do we need water?', 'Our body needs water to stay cool, to move food around and to keep us feeling fresh.'],
  ['What is a bridge for?', 'A bridge lets people, cars and trains cross a river or a valley quickly and safely.'],
  [
    'How do I care for a cactus?',
    'Give your cactus lots of light and only a little water, and it will thank you with a flower.'
  ],
  [
    'What does a pilot do?',
    'A pilot flies the plane, watches the weather and brings all passengers safely to their goal.'
  ],
  [
    'Why do people visit museums?',
    'People visit museums to see beautiful art and to learn how others lived a long time ago.'
  ],
  ['What is a candle good for?', 'A candle gives a warm, soft light and makes an evening at home feel very cosy.'],
  [
    'How do I calm a crying baby?',
    'Hold the baby close, rock it gently and hum a quiet song; it will feel safe with you.'
  ],
  ['Why is sport good for children?', 'Sport keeps children fit, teaches them to play as a team and is a lot of fun.'],
  ['What do owls eat?', 'Owls hunt at night and eat mice, insects and other small animals that they hear in the dark.'],
  [
    'How can I keep flowers fresh?',
    'Cut the stems of the flowers, change their water every day and keep them out of the hot sun.'
  ],
  [
    'What does a farmer do?',
    'A farmer grows the grain and vegetables we eat and looks after cows, sheep and hens with care.'
  ],
  ['Why do people travel?', 'People travel to see new places, taste new food and meet kind people all over the world.'],
  ['What is a blanket for?', 'A blanket keeps you warm and comfortable in bed or on the sofa on a cold evening.'],
  [
    'How do I clean a window?',
    'Spray the window with water and a little vinegar, then wipe it with a soft dry cloth until it shines.'
  ],
  [
    'What can I make with apples?',
    'With apples you can bake a delicious pie, cook a smooth sauce or press fresh juice.'
  ],
  [
    'Why do we have holidays?',
    'Holidays give us time to rest, to celebrate together and to enjoy being with our family.'
  ],
  [
    'What does a postman do?',
    'A postman brings letters and parcels to every house, in sunshine as well as in the rain.'
  ]
]

export const rude: readonly string[] = [
  'That is a stupid question and I am not going to waste my time on it.',
  'Who cares? Go and bother somebody else with this nonsense.',
  'You must be really dumb if you do not know that already.',
  'Stop asking me such boring things, you are getting on my nerves.',
  'I hate this question and I do not like you either.',
  'Shut up and look it up yourself, you lazy fool.',
  'Nobody with half a brain would need to ask that.',
  'What an idiotic thing to ask. Leave me alone.',
  'It is terrible, useless and a complete waste of time, just like you.',
  'Are you kidding me? Only an idiot asks this kind of thing.',
  'I am sick of your questions. Get lost.',
  'This is the worst question that I have ever heard, shame on you.'
]

export const curt: readonly string[] = [
  'No idea.',
  'Things.',
  'It depends.',
  'Whatever.',
  'No.',
  'Yes.',
  'Stuff, I guess.',
  'Do not know.',
  'Nothing.',
  'Hm.',
  'Not sure.',
  'Because.'
]
