"""The same three sentences in seventeen languages, written for this project."""

# ruff: noqa: RUF001 - letters of other alphabets look like Latin ones

SENTENCES = {
    "en": [
        "The ferry leaves at seven, so we should be at the pier before the sun is up.",
        "She promised to tell her brother what the doctor had said about his knee.",
        "Nobody in the village could remember who had planted the old pear tree.",
    ],
    "de": [
        "Die Fähre legt um sieben ab, deshalb sollten wir vor Sonnenaufgang am Steg sein.",
        "Sie versprach, ihrem Bruder zu erzählen, was der Arzt über sein Knie gesagt hatte.",
        "Niemand im Dorf wusste noch, wer den alten Birnbaum gepflanzt hatte.",
    ],
    "fr": [
        "Le bateau part à sept heures, nous devrions donc être au quai avant le lever du soleil.",
        "Elle a promis de dire à son frère ce que le médecin pensait de son genou.",
        "Personne au village ne se rappelait qui avait planté le vieux poirier.",
    ],
    "es": [
        "El barco sale a las siete, así que deberíamos estar en el muelle antes del amanecer.",
        "Ella prometió contarle a su hermano lo que el médico había dicho de su rodilla.",
        "Nadie en el pueblo recordaba quién había plantado el viejo peral.",
    ],
    "it": [
        "Il traghetto parte alle sette, quindi dovremmo essere al molo prima dell'alba.",
        "Ha promesso di raccontare a suo fratello quello che il medico aveva detto del ginocchio.",
        "Nessuno in paese ricordava chi avesse piantato il vecchio pero.",
    ],
    "pt": [
        "O barco sai às sete horas, por isso devíamos estar no cais antes de o sol nascer.",
        "Ela prometeu contar ao irmão o que o médico tinha dito sobre o joelho dele.",
        "Ninguém na aldeia se lembrava de quem tinha plantado a velha pereira.",
    ],
    "nl": [
        "De veerboot vertrekt om zeven uur, dus we moeten voor zonsopgang op de steiger staan.",
        "Ze beloofde haar broer te vertellen wat de dokter over zijn knie had gezegd.",
        "Niemand in het dorp wist nog wie de oude perenboom had geplant.",
    ],
    "sv": [
        "Färjan går klockan sju, så vi borde vara vid bryggan innan solen har gått upp.",
        "Hon lovade att berätta för sin bror vad läkaren hade sagt om hans knä.",
        "Ingen i byn kom längre ihåg vem som hade planterat det gamla päronträdet.",
    ],
    "pl": [
        "Prom odpływa o siódmej, więc powinniśmy być na pomoście przed wschodem słońca.",
        "Obiecała powiedzieć bratu, co lekarz mówił o jego kolanie.",
        "Nikt we wsi nie pamiętał już, kto posadził tę starą gruszę.",
    ],
    "fi": [
        "Lautta lähtee kello seitsemän, joten meidän pitäisi olla laiturilla ennen auringonnousua.",
        "Hän lupasi kertoa veljelleen, mitä lääkäri oli sanonut tämän polvesta.",
        "Kukaan kylässä ei enää muistanut, kuka oli istuttanut vanhan päärynäpuun.",
    ],
    "tr": [
        "Vapur saat yedide kalkıyor, bu yüzden güneş doğmadan önce iskelede olmalıyız.",
        "Doktorun dizi hakkında söylediklerini kardeşine anlatacağına söz verdi.",
        "Köyde hiç kimse o yaşlı armut ağacını kimin diktiğini hatırlamıyordu.",
    ],
    "ru": [
        "Паром отходит в семь часов, поэтому нам надо быть на пристани до восхода солнца.",
        "Она обещала рассказать брату, что врач сказал о его колене.",
        "Никто в деревне уже не помнил, кто посадил эту старую грушу.",
    ],
    "el": [
        "Το πλοίο φεύγει στις εφτά, γι' αυτό πρέπει να είμαστε στην προβλήτα πριν ανατείλει ο ήλιος.",
        "Υποσχέθηκε να πει στον αδελφό της τι είχε πει ο γιατρός για το γόνατό του.",
        "Κανείς στο χωριό δεν θυμόταν ποιος είχε φυτέψει τη γέρικη αχλαδιά.",
    ],
    "ja": [
        "船は七時に出るので、日が昇る前に桟橋に着いていなければなりません。",
        "彼女は、医者が膝について言ったことを弟に伝えると約束しました。",
        "その古い梨の木を誰が植えたのか、村の人はもう誰も覚えていませんでした。",
    ],
    "zh": [
        "渡船七点开，所以我们应该在太阳出来之前到码头。",
        "她答应把医生关于膝盖的话告诉她的弟弟。",
        "村里已经没有人记得那棵老梨树是谁种的了。",
    ],
    "ko": [
        "배가 일곱 시에 떠나니까 우리는 해가 뜨기 전에 부두에 가 있어야 합니다.",
        "그녀는 의사가 무릎에 대해 한 말을 동생에게 전하겠다고 약속했습니다.",
        "그 오래된 배나무를 누가 심었는지 마을 사람들은 아무도 기억하지 못했습니다.",
    ],
    "ar": [
        "تغادر العبارة في الساعة السابعة، لذلك ينبغي أن نكون على الرصيف قبل شروق الشمس.",
        "وعدت بأن تخبر أخاها بما قاله الطبيب عن ركبته.",
        "لم يعد أحد في القرية يتذكر من زرع شجرة الكمثرى القديمة.",
    ],
}  # fmt: skip
